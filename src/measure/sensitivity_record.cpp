#include "measure/sensitivity_record.hpp"

#include <bit>
#include <cmath>
#include <cstring>

#include "snug/error.hpp"

namespace snug {
namespace {

static_assert(std::endian::native == std::endian::little, "payloads are copied as they lie in memory");

constexpr uint32_t kVersion = 1;

struct Fixed {
  uint32_t version, format;
  int64_t tokens, draws;
  double sum, covered, all;
};
static_assert(sizeof(Fixed) == 48);

bool is_amount(double v) {
  return std::isfinite(v) && v >= 0;
}

}  // namespace

std::vector<std::byte> to_payload(const SensitivityRecord& record) {
  const Fixed fixed{kVersion,   static_cast<uint32_t>(record.format), record.tokens, record.draws,
                    record.sum, record.covered,                       record.all};
  std::vector<std::byte> payload(sizeof fixed + record.tensor.size());
  std::memcpy(payload.data(), &fixed, sizeof fixed);
  std::memcpy(payload.data() + sizeof fixed, record.tensor.data(), record.tensor.size());
  return payload;
}

SensitivityRecord parse_sensitivity(std::span<const std::byte> payload) {
  Fixed fixed{};
  const bool whole = payload.size() >= sizeof fixed;
  if (whole) std::memcpy(&fixed, payload.data(), sizeof fixed);
  const bool sound = whole && fixed.version == kVersion && fixed.tokens > 0 && fixed.draws > 0 &&
                     is_amount(fixed.sum) && is_amount(fixed.covered) && is_amount(fixed.all);
  if (!sound)
    throw Error{"a sensitivity in the state is malformed", "", "run `snug state verify`, or start a new state"};
  const std::span<const std::byte> name = payload.subspan(sizeof fixed);
  return {std::string(reinterpret_cast<const char*>(name.data()), name.size()),
          static_cast<FormatId>(fixed.format),
          fixed.tokens,
          fixed.draws,
          fixed.sum,
          fixed.covered,
          fixed.all};
}

}  // namespace snug
