#include "measure/measurement.hpp"

#include <bit>
#include <cmath>
#include <cstring>

#include "snug/error.hpp"

namespace snug {
namespace {

static_assert(std::endian::native == std::endian::little, "payloads are copied as they lie in memory");

struct Fixed {
  uint32_t format;
  uint32_t name_bytes;
  int64_t rows_measured, rows;
  double relative_error, standard_error, mean_energy;
  std::array<uint8_t, 16> rows_digest;
};
static_assert(sizeof(Fixed) == 64);

}  // namespace

std::vector<std::byte> to_payload(const Measurement& m) {
  const Fixed fixed{static_cast<uint32_t>(m.format), static_cast<uint32_t>(m.tensor.size()), m.rows_measured, m.rows,
                    m.relative_error, m.standard_error, m.mean_energy, m.rows_digest.bytes};
  std::vector<std::byte> payload(sizeof fixed + m.tensor.size());
  std::memcpy(payload.data(), &fixed, sizeof fixed);
  std::memcpy(payload.data() + sizeof fixed, m.tensor.data(), m.tensor.size());
  return payload;
}

Measurement parse_measurement(std::span<const std::byte> payload) {
  Fixed fixed{};
  const bool whole = payload.size() >= sizeof fixed;
  if (whole) std::memcpy(&fixed, payload.data(), sizeof fixed);
  const bool sound = whole && payload.size() == sizeof fixed + fixed.name_bytes && fixed.rows_measured > 0 &&
                     fixed.rows_measured <= fixed.rows && fixed.relative_error >= 0 &&
                     fixed.standard_error >= 0 && std::isfinite(fixed.relative_error) &&
                     std::isfinite(fixed.standard_error) && std::isfinite(fixed.mean_energy) &&
                     find_format(static_cast<FormatId>(fixed.format));
  if (!sound) throw Error{"a measurement in the state is malformed", "", "run `snug state verify`, or start a new state"};
  return {std::string(reinterpret_cast<const char*>(payload.data()) + sizeof fixed, fixed.name_bytes),
          static_cast<FormatId>(fixed.format), fixed.rows_measured, fixed.rows, Digest{fixed.rows_digest},
          fixed.relative_error, fixed.standard_error, fixed.mean_energy};
}

}  // namespace snug
