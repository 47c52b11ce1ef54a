#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/files/atomic_file.hpp"

namespace snug {

/// Sums over tokens of one tensor's input columns, as an imatrix file holds them; [mats, cols] row-major.
struct ImatrixSums {
  int64_t cols = 0, mats = 1;  // mats: experts; a legacy file has them all in one row, mats 1
  std::vector<float> in_sum2;  // sum of squares
  std::vector<float> in_sum;   // sum; empty where the file has none
  std::vector<float> counts;   // [mats] token rows summed; legacy: calls, in units of chunks
};

/// A whole imatrix file (format reference §5).
struct Imatrix {
  std::map<std::string, ImatrixSums, std::less<>> tensors;  // by the model tensor's name
  std::vector<std::string> datasets;
  int64_t chunks = 0, chunk_tokens = 0;
  bool legacy = false;
};

/// Reads either form. Throws Error with path and offset on damage, on sums that are negative or not finite,
/// and on a file that is no imatrix (a model named by mistake is told as such).
Imatrix read_imatrix(const std::filesystem::path& path);
Imatrix read_imatrix(std::span<const std::byte> bytes, const std::string& name);  // `name` is for messages

/// The current form: GGUF with in_sum2, counts and, where given, in_sum per tensor; tensors sorted by name.
void write_imatrix(const std::filesystem::path& path, const Imatrix& imatrix, Existing existing);

/// The legacy .dat, which ik_llama.cpp reads; in_sum has no place in it. Experts never hit are written as
/// ones.
void write_legacy_imatrix(const std::filesystem::path& path, const Imatrix& imatrix, Existing existing);

}  // namespace snug
