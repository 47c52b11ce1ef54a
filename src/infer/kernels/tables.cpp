#include "infer/kernels/tables.hpp"

#include <bit>

#include "quant/codebooks/codebooks.hpp"

namespace snug::infer {
namespace {

constexpr SignFactors make_sign_factors() {
  SignFactors out{};
  for (uint32_t index = 0; index < 128; ++index) {
    const uint32_t byte = index | (static_cast<uint32_t>(std::popcount(index)) & 1) << 7;
    for (int j = 0; j < 8; ++j) out.at[index][j] = byte >> j & 1 ? -1 : 1;
  }
  return out;
}

constexpr Iq1Shifted make_iq1_shifted() {
  Iq1Shifted out{};
  for (int e = 0; e < 2048; ++e)
    for (int j = 0; j < 8; ++j)
      out.at[e][j] = static_cast<uint8_t>(8 * kIq1Levels[kIq1Codes[e] >> 2 * j & 3] + 9);
  return out;
}

}  // namespace

constinit const SignFactors kSignFactors = make_sign_factors();
constinit const Iq1Shifted kIq1Shifted = make_iq1_shifted();

}  // namespace snug::infer
