#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "snug/format.hpp"

namespace snug {

/// What the state keeps of one tensor's probe on one chunk. Little-endian, behind one another: u32 version
/// (1), u32 format, i64 tokens, f64 kl, f64 rho, then the tensor's name.
struct ProbeRecord {
  std::string tensor;
  FormatId format{};
  int64_t tokens = 0;  // scored
  double kl = 0;       // mean over them, nats
  double rho = 0;      // of the encoded tensor
};

std::vector<std::byte> to_payload(const ProbeRecord& record);
ProbeRecord parse_probe(std::span<const std::byte> payload);  // throws Error on anything malformed

}  // namespace snug
