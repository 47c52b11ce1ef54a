#include "min_max_pass.hpp"

#include "quant/kernels/simd_avx2.hpp"

using V = snug::Avx2;

void min_max_pass(const float* x, int64_t count, int64_t group, int levels, uint8_t* codes, float* scales) {
  for (int64_t at = 0; at < count; at += group) {
    auto low = V::load(x + at), high = low;
    for (int64_t j = at + 8; j < at + group; j += 8) {
      low = V::min(low, V::load(x + j));
      high = V::max(high, V::load(x + j));
    }
    const float least = V::min_of(low), step = (V::max_of(high) - least) / static_cast<float>(levels - 1);
    const auto from = V::splat(least), inverse = V::splat(step > 0 ? 1 / step : 0);
    for (int64_t j = at; j < at + group; j += 8) V::store_u8(codes + j, V::to_i((V::load(x + j) - from) * inverse));
    *scales++ = step;
    *scales++ = least;
  }
}
