#include "measure/sensitivity/sensitivity_record.hpp"

#include <bit>
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

// Beyond what is measured anywhere, and within what can be multiplied and added up.
constexpr double kMost = 1e60;
constexpr int64_t kMaxTokens = int64_t{1} << 31;

bool is_amount(double v) {
  return v >= 0 && v <= kMost;
}

bool is_count(int64_t n) {
  return n > 0 && n < kMaxTokens;
}

}  // namespace

bool is_sound(const SensitivityRecord& record) {
  return is_count(record.tokens) && is_count(record.draws) && is_amount(record.sum) &&
         is_amount(record.covered) && is_amount(record.all) && find_format(record.format);
}

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
  SensitivityRecord record{{},        static_cast<FormatId>(fixed.format), fixed.tokens, fixed.draws,
                           fixed.sum, fixed.covered,                       fixed.all};
  if (!whole || fixed.version != kVersion || !is_sound(record))
    throw Error{"a sensitivity in the state is malformed", "", "run `snug state verify`, or start a new state"};
  const std::span<const std::byte> name = payload.subspan(sizeof fixed);
  record.tensor.assign(reinterpret_cast<const char*>(name.data()), name.size());
  return record;
}

}  // namespace snug
