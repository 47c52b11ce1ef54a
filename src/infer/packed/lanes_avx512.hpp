#pragma once

#include "infer/packed/lanes_avx2.hpp"

namespace snug::infer {
namespace {

/// AVX-512 VNNI and VL: the same registers of 256 bits, twice as many, and sums of products in one
/// instruction. Same bits as Avx2Lanes. Contract: lanes.hpp.
struct Avx512Lanes : Avx2Lanes {
  static i add_pairs(i sum, w x, w y) { return _mm256_dpwssd_epi32(sum, x, y); }
  static i products(b unsigned_x, b signed_y) { return _mm256_dpbusd_epi32(zero_i(), unsigned_x, signed_y); }
};

}  // namespace
}  // namespace snug::infer
