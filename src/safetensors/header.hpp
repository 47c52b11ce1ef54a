#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "safetensors/dtype.hpp"

namespace snug::safetensors {

/// A header longer than this is refused, by the container's rules.
constexpr uint64_t kMaxHeaderBytes = 100'000'000;

/// What a header says of one tensor.
struct Entry {
  std::string name;
  Dtype dtype{};
  std::vector<int64_t> shape;   // row-major: the last dimension is contiguous; none for a scalar
  uint64_t begin = 0, end = 0;  // bytes of the data section, which begins at Header::data_begin of the file
};

struct Header {
  std::vector<Entry> tensors;  // in the order of their bytes
  std::map<std::string, std::string> metadata;
  uint64_t data_begin = 0;
};

/// Reads the header of a whole file and checks every rule of the container: the tensors tile the rest of the
/// file without holes, overlaps and slack, and every one takes the bytes its shape needs. Throws Error that
/// says what is wrong and names the tensor. `where` names the file.
Header read_header(std::span<const std::byte> file, const std::string& where);

/// Elements of a shape, and the bytes they take; nothing where it overflows or does not fill whole bytes.
std::optional<uint64_t> bytes_of(Dtype dtype, std::span<const int64_t> shape);

/// The header of a file with these tensors, whose bytes follow each other in this order: its length and its
/// JSON text, padded so that the data begins at a multiple of 8.
std::string header_text(std::span<const Entry> tensors, const std::map<std::string, std::string>& metadata);

}  // namespace snug::safetensors
