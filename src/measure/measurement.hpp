#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/digest.hpp"
#include "snug/format.hpp"

namespace snug {

/// What the state keeps of one tensor in one format. Payload layout: docs/state-format.md, "measurement".
struct Measurement {
  std::string tensor;
  FormatId format{};
  int64_t rows_measured = 0, rows = 0;
  Digest rows_digest;          // of the source bytes of the rows measured: a changed row is noticed
  double relative_error = 0;   // rho
  double standard_error = 0;   // of rho, absolute
  double mean_energy = 0;      // E / rows
};

std::vector<std::byte> to_payload(const Measurement& measurement);
Measurement parse_measurement(
    std::span<const std::byte> payload);  // throws Error on anything malformed, a format that is
                                          // not in formats() included

}  // namespace snug
