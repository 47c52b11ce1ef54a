#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "snug/format.hpp"

namespace snug {

/// What the state keeps of one tensor in one format on one chunk, from a reverse pass. Little-endian, behind one
/// another: u32 version (1), u32 format, i64 tokens, i64 draws, f64 sum, f64 covered, f64 all, then the tensor's name.
struct SensitivityRecord {
  std::string tensor;
  FormatId format{};
  int64_t tokens = 0, draws = 0;
  double sum = 0;      // over draws and sampled groups of weight * (sum over rows of <G_row, error_row>)^2
  double covered = 0;  // over the same of weight * sum over rows of energy * squared gradient of the row's output;
  double all = 0;      // the same over all rows. Both 1 where chances to be sampled were in proportion
};

/// Whether its numbers can be computed with: what is not sound is neither written nor read.
bool is_sound(const SensitivityRecord& record);

std::vector<std::byte> to_payload(const SensitivityRecord& record);
SensitivityRecord parse_sensitivity(std::span<const std::byte> payload);  // throws Error on anything malformed

}  // namespace snug
