#include "measure/probe_record.hpp"

#include <bit>
#include <cmath>
#include <cstring>

#include "snug/error.hpp"

namespace snug {
namespace {

static_assert(std::endian::native == std::endian::little, "payloads are copied as they lie in memory");

constexpr uint32_t kVersion = 1;

// Beyond what is measured anywhere, and within what can be divided and added up.
constexpr double kMaxNats = 1e6, kMinError = 1e-30, kMaxError = 1e30;

struct Fixed {
  uint32_t version, format;
  int64_t tokens;
  double kl, rho;
};
static_assert(sizeof(Fixed) == 32);

}  // namespace

std::vector<std::byte> to_payload(const ProbeRecord& record) {
  const Fixed fixed{kVersion, static_cast<uint32_t>(record.format), record.tokens, record.kl, record.rho};
  std::vector<std::byte> payload(sizeof fixed + record.tensor.size());
  std::memcpy(payload.data(), &fixed, sizeof fixed);
  std::memcpy(payload.data() + sizeof fixed, record.tensor.data(), record.tensor.size());
  return payload;
}

ProbeRecord parse_probe(std::span<const std::byte> payload) {
  Fixed fixed{};
  const bool whole = payload.size() >= sizeof fixed;
  if (whole) std::memcpy(&fixed, payload.data(), sizeof fixed);
  const bool sound = whole && fixed.version == kVersion && fixed.tokens > 0 &&
                     std::abs(fixed.kl) <= kMaxNats &&
                     (fixed.rho == 0 || (fixed.rho >= kMinError && fixed.rho <= kMaxError)) &&
                     find_format(static_cast<FormatId>(fixed.format));
  if (!sound)
    throw Error{"a probe in the state is malformed", "", "run `snug state verify`, or start a new state"};
  const std::span<const std::byte> name = payload.subspan(sizeof fixed);
  return {std::string(reinterpret_cast<const char*>(name.data()), name.size()),
          static_cast<FormatId>(fixed.format), fixed.tokens, fixed.kl, fixed.rho};
}

}  // namespace snug
