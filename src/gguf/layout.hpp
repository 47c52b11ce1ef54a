#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "snug/model.hpp"

namespace snug::gguf {

constexpr uint32_t kDefaultAlignment = 32;
constexpr size_t kLongestName = 63;  // ggml keeps names in 64 bytes, the closing zero included
constexpr int kMaxDims = 4;

/// One GGUF file, read and checked: views into its bytes.
struct FileContents {
  uint32_t version = 0;
  uint32_t alignment = kDefaultAlignment;
  std::vector<MetadataEntry> keys;
  std::vector<Tensor> tensors;
  std::unordered_map<std::string_view, size_t> key_index, tensor_index;

  const MetadataValue* find(std::string_view key) const;
};

/// Reads the container (§1 of the format reference). `path` is for messages. Throws Error on anything the
/// layout does not allow: nothing of the file is believed before it is compared with the bytes that are
/// there.
FileContents read_layout(std::span<const std::byte> bytes, const std::string& path);

/// Bytes of the data of a tensor, or -1 where the shape does not fit the format or the size overflows.
int64_t data_bytes(FormatId format, std::span<const int64_t> shape);

/// The next multiple of `alignment`, a power of two.
constexpr uint64_t round_up(uint64_t bytes, uint64_t alignment) {
  return (bytes + alignment - 1) & ~(alignment - 1);
}

/// What a tensor of so many bytes takes in a file that we write.
constexpr int64_t padded(int64_t bytes) {
  return static_cast<int64_t>(round_up(static_cast<uint64_t>(bytes), kDefaultAlignment));
}

/// Bytes of one array element; 0 for strings and arrays.
size_t element_bytes(MetadataType type);

}  // namespace snug::gguf
