#pragma once

#include <cstdint>

#include "quant/codebooks/codebook_codes.hpp"

// The codebooks of the IQ formats: numeric constants of the file format, entries in index order.
// A packed code (kIq2XxsCodes[256], kIq2XsCodes[512], kIq2SCodes[1024], kIq1Codes[2048], kIq3XxsCodes[256],
// kIq3SCodes[512]) holds level j of its vector in bits n j.., n = 2 for the 8-dimensional books (levels
// 0..2), 3 for the 4-dimensional ones (levels 0..7); codes strictly increase. A grid is the same with each
// level as what it decodes to.

namespace snug {

/// Level to magnitude (iq2, iq3) or value (iq1).
constexpr uint8_t kIq2Levels[4] = {8, 25, 43, 0};  // the last never occurs
constexpr uint8_t kIq3XxsLevels[8] = {4, 12, 20, 28, 36, 44, 52, 62};
constexpr uint8_t kIq3SLevels[8] = {1, 3, 5, 7, 9, 11, 13, 15};
constexpr int8_t kIq1Levels[4] = {-1, 0, 1, 0};
constexpr uint8_t kIq1RaisedLevels[4] = {0, 1, 2, 0};

template <class Value, int entries, int dimensions>
struct Grid {
  Value at[entries][dimensions];
};

extern const Grid<uint8_t, 256, 8> kIq2XxsGrid;
extern const Grid<uint8_t, 512, 8> kIq2XsGrid;
extern const Grid<uint8_t, 1024, 8> kIq2SGrid;
extern const Grid<uint8_t, 256, 4> kIq3XxsGrid;
extern const Grid<uint8_t, 512, 4> kIq3SGrid;
extern const Grid<int8_t, 2048, 8> kIq1Grid;
extern const Grid<uint8_t, 2048, 8> kIq1RaisedGrid;  // the same, with one added to every value

}  // namespace snug
