// A program outside snug's tree, with nothing but what `cmake --install` put in place.
#include <cstdio>
#include <vector>

#include "snug/quantize.hpp"
#include "snug/solve.hpp"
#include "snug/state.hpp"

int main() {
  const snug::Format& format = *snug::find_format("q4_K");
  std::vector<float> weights(256, 0.5f), back(256);
  std::vector<std::byte> blocks(static_cast<size_t>(format.row_bytes(256)));
  snug::quantize(format, {weights.data(), 1, 256}, {}, snug::Effort::normal, blocks);
  snug::dequantize(format, blocks, {back.data(), 1, 256});
  const snug::Solution solution = snug::solve({{{{1, 10}, {2, 5}}, {{1, 7}, {3, 0}}}, 4});
  std::printf("%.3f %lld\n", static_cast<double>(back[0]), static_cast<long long>(solution.loss));
  return back[0] > 0.49f && back[0] < 0.51f && solution.loss == 10 ? 0 : 1;
}
