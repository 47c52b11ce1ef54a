#pragma once

#include <array>

#include "quant/kernels/decode_avx512.hpp"
#include "quant/kernels/mlx/affine_formats.hpp"
#include "quant/kernels/mlx/fp_stock.hpp"

// Decoders of MLX's formats on registers of 512 bits: sixteen weights at a time, the same bits as the ones that
// are written for all sets. Codes of few bits are looked up among a block's levels, which a lookup finds by their
// lowest four or five bits: nothing above these needs to be cleared.

namespace snug {
namespace {

inline __m512i word_in_all(const uint8_t* p) {
  return _mm512_set1_epi32(static_cast<int>(u32_at(p)));
}
/// A word in the first eight lanes, another in the last eight.
inline __m512i two_words(const uint8_t* first, const uint8_t* second) {
  const __m128i last = _mm_cvtsi32_si128(static_cast<int>(u32_at(second)));
  return _mm512_mask_broadcastd_epi32(word_in_all(first), 0xff00, last);
}

template <int bits>
constexpr auto kLaneShifts = [] {
  std::array<int32_t, 16> shifts{};
  for (size_t k = 0; k < 16; ++k)
    shifts[k] = static_cast<int32_t>(bits == 2 ? 2 * k : bits <= 4 ? bits * (k % 8) : bits * k % 8);
  return shifts;
}();
/// For codes of 5 or 6 bits: the two bytes that lane k's begins in, four times the same sixteen bytes being there.
template <int bits>
constexpr auto kLaneBytes = [] {
  std::array<uint8_t, 64> bytes{};
  for (size_t k = 0; k < 16; ++k)
    for (size_t n = 0; n < 4; ++n) bytes[4 * k + n] = static_cast<uint8_t>(n < 2 ? bits * k / 8 + n : 0x80);
  return bytes;
}();

/// Sixteen codes that begin at p, at the lower end of a lane each; others may stand above them. Of 5 bits only
/// `there` bytes are read, at most 16.
template <int bits>
__m512i codes_16(const uint8_t* p, int there) {
  if constexpr (bits == 8) return widen_u8(load_16(p));
  const __m512i shifts = _mm512_loadu_si512(kLaneShifts<bits>.data());
  if constexpr (bits == 2) return _mm512_maskz_srlv_epi32(kAll, word_in_all(p), shifts);
  if constexpr (bits <= 4) return _mm512_maskz_srlv_epi32(kAll, two_words(p, p + bits), shifts);
  const auto mask = static_cast<__mmask16>((1 << there) - 1);
  const __m128i bytes = there < 16 ? _mm_maskz_loadu_epi8(mask, p) : load_16(p);
  const __m512i apart = _mm512_maskz_shuffle_epi8(~uint64_t{0}, _mm512_maskz_broadcast_i32x4(kAll, bytes),
                                                  _mm512_loadu_si512(kLaneBytes<bits>.data()));
  return _mm512_maskz_srlv_epi32(kAll, apart, shifts);
}

template <ScaleType type>
__m512 scale_in_all(uint16_t bits) {
  if constexpr (type == ScaleType::f16) return half_in_all(bits);
  return _mm512_castsi512_ps(_mm512_set1_epi32(static_cast<int>(static_cast<uint32_t>(bits) << 16)));
}

inline __m512 times_plus(__m512 codes, __m512 scale, __m512 bias) {
  return _mm512_add_ps(_mm512_mul_ps(scale, codes), bias);
}
/// Codes 0 to 15, or 16 to 31 where `first` is 16, less what lies above `mask`.
inline __m512 sixteen_codes(int first, int mask) {
  const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  return _mm512_maskz_cvtepi32_ps(
      kAll, _mm512_and_si512(_mm512_add_epi32(lanes, _mm512_set1_epi32(first)), _mm512_set1_epi32(mask)));
}

template <class Block>
void decode_affine_avx512(const void* blocks, int64_t cols, float* row) noexcept {
  constexpr int bits = Block::kBits, mask = (1 << bits) - 1, units = static_cast<int>(Block::kWeights) / 16;
  const __m512 low_codes = sixteen_codes(0, mask), high_codes = sixteen_codes(16, mask);
  decode_blocks<Block, static_cast<int>(Block::kWeights)>(blocks, cols, row, [=](const Block& b, float* y) {
    const __m512 scale = scale_in_all<Block::kType>(b.scale), bias = scale_in_all<Block::kType>(b.bias);
    const __m512 low = times_plus(low_codes, scale, bias), high = times_plus(high_codes, scale, bias);
#pragma GCC unroll 8
    for (int u = 0; u < units; ++u) {
      const int left = (units - u) * 2 * bits + 4;
      const __m512i codes = codes_16<bits>(b.codes + 2 * bits * u, left < 16 ? left : 16);
      if constexpr (bits <= 4)
        _mm512_storeu_ps(y + 16 * u, look_up(low, codes));
      else if constexpr (bits == 5)
        _mm512_storeu_ps(y + 16 * u, _mm512_maskz_permutex2var_ps(kAll, low, codes, high));
      else
        _mm512_storeu_ps(y + 16 * u, times_plus(_mm512_maskz_cvtepi32_ps(
                                                    kAll, _mm512_and_si512(codes, _mm512_set1_epi32(mask))),
                                                scale, bias));
    }
  });
}

template <class Block, class Scale>
void decode_mlx_fp4_avx512(const void* blocks, int64_t cols, float* row, Scale scale_of) noexcept {
  const __m512 levels = _mm512_loadu_ps(kE2m1);
  decode_blocks<Block, static_cast<int>(Block::kWeights)>(blocks, cols, row, [=](const Block& b, float* y) {
    const __m512 scaled = _mm512_mul_ps(_mm512_set1_ps(scale_of(b.scale)), levels);
#pragma GCC unroll 2
    for (uint32_t j = 0; j < Block::kWeights; j += 16)
      _mm512_storeu_ps(y + j, look_up(scaled, codes_16<4>(b.codes + j / 2, 16)));
  });
}
inline void decode_mlx_mxfp4_avx512(const void* blocks, int64_t cols, float* row) noexcept {
  decode_mlx_fp4_avx512<BlockMlxMxfp4>(blocks, cols, row, [](uint8_t code) { return e8m0_value(code); });
}
inline void decode_mlx_nvfp4_avx512(const void* blocks, int64_t cols, float* row) noexcept {
  decode_mlx_fp4_avx512<BlockMlxNvfp4>(blocks, cols, row, [](uint8_t code) { return kE4m3.at[code]; });
}

/// Values of sixteen E4M3 codes over 256: that is what they are in the place of an f16's sign, exponent and
/// fraction.
inline __m512 e4m3_16(const uint8_t* codes) {
  const __m256i wide = _mm256_cvtepi8_epi16(load_16(codes)), sign = _mm256_set1_epi16(INT16_MIN);
  const __m256i half = _mm256_andnot_si256(_mm256_set1_epi16(0x4000), _mm256_slli_epi16(wide, 7));
  const __mmask16 none =
      _mm256_cmpeq_epi16_mask(_mm256_or_si256(half, sign), _mm256_set1_epi16(INT16_MIN | 0x3f80));
  const __m256i none_signed = _mm256_or_si256(_mm256_and_si256(half, sign), _mm256_set1_epi16(0x7e00));
  return _mm512_maskz_cvtph_ps(kAll, _mm256_mask_mov_epi16(half, none, none_signed));
}
inline void decode_mlx_mxfp8_avx512(const void* blocks, int64_t cols, float* row) noexcept {
  decode_blocks<BlockMlxMxfp8, 32>(blocks, cols, row, [](const BlockMlxMxfp8& b, float* y) {
    const __m512 scale = _mm512_set1_ps(e8m0_value(b.scale)), up = _mm512_set1_ps(256);
    for (int j = 0; j < 32; j += 16)
      _mm512_storeu_ps(y + j, _mm512_mul_ps(scale, _mm512_mul_ps(e4m3_16(b.codes + j), up)));
  });
}

template <int... n>
constexpr std::array<WideDecoder, sizeof...(n)> wide_affine(std::integer_sequence<int, n...>) {
  return {WideDecoder{kAffineFormat<n>, decode_affine_avx512<AffineBlock<n>>}...};
}
constexpr auto kWideAffine = wide_affine(EveryAffine{});
constexpr WideDecoder kWideMlx[] = {
    {FormatId::mlx_mxfp4, decode_mlx_mxfp4_avx512},
    {FormatId::mlx_nvfp4, decode_mlx_nvfp4_avx512},
    {FormatId::mlx_mxfp8, decode_mlx_mxfp8_avx512},
};

}  // namespace
}  // namespace snug
