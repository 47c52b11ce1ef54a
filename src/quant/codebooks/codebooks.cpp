#include "quant/codebooks/codebooks.hpp"

namespace snug {
namespace {

template <class Value, int entries, int dimensions>
constexpr Grid<Value, entries, dimensions> expand(const uint16_t (&codes)[entries], const Value* levels) {
  constexpr int bits = 16 / dimensions == 2 ? 2 : 3;
  Grid<Value, entries, dimensions> grid{};
  for (int e = 0; e < entries; ++e)
    for (int j = 0; j < dimensions; ++j) grid.at[e][j] = levels[codes[e] >> bits * j & ((1 << bits) - 1)];
  return grid;
}

}  // namespace

constinit const Grid<uint8_t, 256, 8> kIq2XxsGrid = expand<uint8_t, 256, 8>(kIq2XxsCodes, kIq2Levels);
constinit const Grid<uint8_t, 512, 8> kIq2XsGrid = expand<uint8_t, 512, 8>(kIq2XsCodes, kIq2Levels);
constinit const Grid<uint8_t, 1024, 8> kIq2SGrid = expand<uint8_t, 1024, 8>(kIq2SCodes, kIq2Levels);
constinit const Grid<uint8_t, 256, 4> kIq3XxsGrid = expand<uint8_t, 256, 4>(kIq3XxsCodes, kIq3XxsLevels);
constinit const Grid<uint8_t, 512, 4> kIq3SGrid = expand<uint8_t, 512, 4>(kIq3SCodes, kIq3SLevels);
constinit const Grid<int8_t, 2048, 8> kIq1Grid = expand<int8_t, 2048, 8>(kIq1Codes, kIq1Levels);
constinit const Grid<uint8_t, 2048, 8> kIq1RaisedGrid = expand<uint8_t, 2048, 8>(kIq1Codes, kIq1RaisedLevels);

}  // namespace snug
