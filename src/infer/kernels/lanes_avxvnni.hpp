#pragma once

#include "infer/kernels/lanes_avx2.hpp"

namespace snug::infer {
namespace {

/// AVX2 with sums of products in one instruction, as laptops have it without AVX-512. Same bits as Avx2Lanes.
/// Contract: lanes.hpp.
struct AvxVnniLanes : Avx2Lanes {
  static constexpr bool kFours = true;

  static i add_pairs(i sum, w x, w y) { return _mm256_dpwssd_avx_epi32(sum, x, y); }
  static i products(b unsigned_x, b signed_y) { return add_fours(zero_i(), unsigned_x, signed_y); }
  static i add_fours(i sum, b unsigned_x, b signed_y) {
    return _mm256_dpbusd_avx_epi32(sum, unsigned_x, signed_y);
  }
};

}  // namespace
}  // namespace snug::infer
