#pragma once

#include <cstddef>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

#include "gguf/writer.hpp"

namespace snug::gguf {

/// Appends the primitives of a GGUF file, little-endian, to a growing array of bytes.
class Encoder {
 public:
  template <class T>
  void number(T value) {
    static_assert(std::is_arithmetic_v<T> && !std::is_same_v<T, bool>);
    raw(std::as_bytes(std::span{&value, 1}));
  }
  void raw(std::span<const std::byte> bytes);
  void string(std::string_view text);
  void key(const OutputKey& key);                                // with its type and value
  void tensor_info(const OutputTensor& tensor, int64_t offset);  // offset within the data section
  void pad_to(size_t alignment);
  size_t size() const { return out_.size(); }
  std::vector<std::byte> take() { return std::move(out_); }

 private:
  void value(const MetadataValue& value);
  void strings(const std::vector<std::string>& list);

  std::vector<std::byte> out_;
};

}  // namespace snug::gguf
