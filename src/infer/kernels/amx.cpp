#include <array>

#include "infer/kernels/lanes_avx512.hpp"
#include "infer/kernels/strips_amx.hpp"

#include "infer/kernels/all.hpp"

namespace snug::infer {
namespace {

/// As Avx512Lanes, with products of whole matrices on tiles.
struct AmxLanes : Avx512Lanes {
  template <class Unpack>
  static constexpr auto product_of_codes = product_in_tiles<AmxLanes, Unpack>;
  template <class Strips>
  static constexpr auto product_of_strips = strips_in_tiles<AmxLanes, Strips>;
  static constexpr bool kHasTiles = true;

  /// Not 32 i16, but their high bytes and then their low ones: x = 128 high + low.
  static void store_products(int16_t* p, b x, w pair) {
    const __m512i scales = _mm512_maskz_permutexvar_epi64(0xff, _mm512_setr_epi64(0, 0, 0, 0, 2, 2, 2, 2),
                                                          _mm512_castsi256_si512(pair));
    const __m512i product = _mm512_maskz_mullo_epi16(~0u, _mm512_maskz_cvtepi8_epi16(~0u, x), scales);
    const __m512i high = _mm512_srai_epi16(_mm512_add_epi16(product, _mm512_set1_epi16(64)), 7);
    const __m512i low = _mm512_sub_epi16(product, _mm512_slli_epi16(high, 7));
    const __m512i both = _mm512_mask_blend_epi8(0x5555555555555555, _mm512_slli_epi16(low, 8), high);
    _mm512_storeu_si512(p, _mm512_maskz_permutexvar_epi8(~uint64_t{0}, halves_apart(), both));
  }
  /// 32 low bytes, where store_products() has them.
  static void store_wide(int16_t* p, b x) { store_b(p + 16, x); }

  /// By five bits, of which the fifth does not matter; machines with tiles have VBMI.
  static b raised_level(const uint8_t* p) {
    return _mm256_maskz_permutexvar_epi8(~0u, both_nibbles(p), load_b(kIq4Raised.at));
  }
  static b nibble_levels(const RaisedLevels& levels, const void* p, int high) {
    const b nibbles = high ? shift_right<4>(load_b(p)) : load_b(p);
    return _mm256_maskz_permutexvar_epi8(~0u, nibbles, load_b(levels.at));
  }

 private:
  /// Even bytes, then odd ones.
  static __m512i halves_apart() {
    alignas(64) static constexpr auto order = [] {
      std::array<uint8_t, 64> at{};
      for (int k = 0; k < 64; ++k)
        at[static_cast<size_t>(k)] = static_cast<uint8_t>(k < 32 ? 2 * k : 2 * k - 63);
      return at;
    }();
    return _mm512_load_si512(order.data());
  }
};

constexpr MatmulKernels make() {
  MatmulKernels kernels = packed_kernels_for<AmxLanes>("amx");
  kernels.integer_peak = tile_peak;
  return kernels;
}

}  // namespace

constinit const MatmulKernels kPackedAmx = make();

}  // namespace snug::infer
