#pragma once

#include <cstdint>

// Codebooks and levels in the form the packed kernels want them.

namespace snug::infer {

/// A 7-bit sign index as eight factors: -1 where the sign byte has a bit, else 1.
struct SignFactors {
  int8_t at[128][8];
};
extern const SignFactors kSignFactors;

/// The grid of iq1 times 8 plus 9, so that with a delta of -1 or 1 it is unsigned: 1, 9 or 17.
struct Iq1Shifted {
  uint8_t at[2048][8];
};
extern const Iq1Shifted kIq1Shifted;

alignas(16) inline constexpr int8_t kIq4Bytes[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                                     1,    13,   25,  38,  53,  69,  89,  113};
alignas(16) inline constexpr int8_t kFp4Bytes[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

/// Levels made unsigned, twice: also for lookups by five bits.
struct RaisedLevels {
  alignas(32) uint8_t at[32];
};
constexpr RaisedLevels raised_levels(const int8_t (&levels)[16], int by) {
  RaisedLevels raised{};
  for (int k = 0; k < 32; ++k) raised.at[k] = static_cast<uint8_t>(levels[k % 16] + by);
  return raised;
}
inline constexpr RaisedLevels kIq4Raised = raised_levels(kIq4Bytes, 128);
inline constexpr RaisedLevels kFp4Raised = raised_levels(kFp4Bytes, 12);

}  // namespace snug::infer
