#pragma once

#include "infer/kernels/codes.hpp"

// The codebook formats; see codes.hpp. Scales are odd numbers: (0.5 + s) d is (2s + 1) d / 2.
// With kTwice, codes64<n>() and signs64<n>() are the magnitudes and sign bits of weights 64n.., for sets of
// lanes that have V::Twice (lanes_twice.hpp). Those whose sign bits want computing gained little by it.

namespace snug::infer {
namespace {

inline uint64_t odd(uint64_t s) {
  return s << 1 | kEachByte;
}

/// The sign bits of eight times 32 weights, out of words with four sign indices in the low 28 bits.
template <class V>
class SignWords {
 public:
  explicit SignWords(typename V::i indices) {
    V::put_sign_words(words_, indices);
    in_memory(words_);
  }
  uint32_t operator[](int k) const { return words_[k]; }

 private:
  alignas(32) uint32_t words_[8];
};

template <class V>
struct CodesIq2Xxs {
  using Block = BlockIq2Xxs;
  static constexpr FormatId kFormat = FormatId::iq2_xxs;
  using Bytes = SmallBytes<86, 32, 43>;
  static constexpr int kBias = 0;
  static constexpr bool kSigned = true, kMins = false, kWhole = true;
  const Block& block;
  SignWords<V> words{V::every_other(block.qs)};

  float d() const { return V::half(block.d) * 0.125f; }
  typename V::w scales() const { return V::top_scales(V::every_other(block.qs)); }
  template <int k>
  typename V::b codes() const {
    const uint8_t* q = block.qs + 8 * k;
    return V::four_of_8(kIq2XxsGrid.at[q[0]], kIq2XxsGrid.at[q[1]], kIq2XxsGrid.at[q[2]],
                        kIq2XxsGrid.at[q[3]]);
  }
  template <int k>
  typename V::b with_signs(typename V::b x) const {
    return V::negate_where(x, words[k]);
  }
};

template <class V>
typename V::w nibble_scales16(const uint8_t* scales) {
  return V::scales16({odd(spread_nibbles(u32_at(scales))), odd(spread_nibbles(u32_at(scales + 4)))});
}

template <class V>
struct CodesIq2Xs {
  using Block = BlockIq2Xs;
  static constexpr FormatId kFormat = FormatId::iq2_xs;
  using Bytes = SmallBytes<86, 16, 43>;
  static constexpr int kBias = 0;
  static constexpr bool kSigned = true, kMins = false, kWhole = false;
  const Block& block;

  float d() const { return V::half(block.d) * 0.125f; }
  typename V::w scales() const { return nibble_scales16<V>(block.scales); }
  template <int k>
  typename V::b codes() const {
    const uint64_t q = load_u64(block.qs + 4 * k);
    return V::four_of_8(kIq2XsGrid.at[q & 511], kIq2XsGrid.at[q >> 16 & 511], kIq2XsGrid.at[q >> 32 & 511],
                        kIq2XsGrid.at[q >> 48 & 511]);
  }
  template <int k>
  typename V::b with_signs(typename V::b x) const {
    const uint64_t q = load_u64(block.qs + 4 * k);
    return V::sign_b(x, V::four_of_8(kSignFactors.at[q >> 9 & 127], kSignFactors.at[q >> 25 & 127],
                                     kSignFactors.at[q >> 41 & 127], kSignFactors.at[q >> 57]));
  }
};

template <class V>
struct CodesIq2S {
  using Block = BlockIq2S;
  static constexpr FormatId kFormat = FormatId::iq2_s;
  using Bytes = SmallBytes<86, 16, 43>;
  static constexpr int kBias = 0;
  static constexpr bool kSigned = true, kMins = false, kWhole = false, kTwice = true;
  const Block& block;

  float d() const { return V::half(block.d) * 0.125f; }
  typename V::w scales() const { return nibble_scales16<V>(block.scales); }
  template <int k>
  typename V::b codes() const {
    const uint8_t* q = block.qs + 4 * k;
    const uint32_t high = block.qh[k];
    return V::four_of_8(kIq2SGrid.at[q[0] | (high << 8 & 0x300)], kIq2SGrid.at[q[1] | (high << 6 & 0x300)],
                        kIq2SGrid.at[q[2] | (high << 4 & 0x300)], kIq2SGrid.at[q[3] | (high << 2 & 0x300)]);
  }
  template <int k>
  typename V::b with_signs(typename V::b x) const {
    return V::negate_where(x, u32_at(block.signs + 4 * k));
  }
  template <int n>
  auto codes64() const {
    using T = typename V::Twice;
    const uint32_t high = block.qh[2 * n] | static_cast<uint32_t>(block.qh[2 * n + 1]) << 8;
    return T::eight_of_8(kIq2SGrid.at, T::with_two_bits(T::eight_bytes(block.qs + 8 * n), high));
  }
};

template <class V>
struct CodesIq3Xxs {
  using Block = BlockIq3Xxs;
  static constexpr FormatId kFormat = FormatId::iq3_xxs;
  using Bytes = SmallBytes<124, 32, 62>;
  static constexpr int kBias = 0;
  static constexpr bool kSigned = true, kMins = false, kWhole = true;
  const Block& block;
  SignWords<V> words{V::as_i(V::load_b(block.gas))};

  float d() const { return V::half(block.d) * 0.25f; }
  typename V::w scales() const { return V::top_scales(V::as_i(V::load_b(block.gas))); }
  template <int k>
  typename V::b codes() const {
    return V::eight_of_4(kIq3XxsGrid.at, V::indices(block.qs + 8 * k));
  }
  template <int k>
  typename V::b with_signs(typename V::b x) const {
    return V::negate_where(x, words[k]);
  }
};

template <class V>
struct CodesIq3S {
  using Block = BlockIq3S;
  static constexpr FormatId kFormat = FormatId::iq3_s;
  using Bytes = SmallBytes<30, 32, 15>;
  static constexpr int kBias = 0;
  static constexpr bool kSigned = true, kMins = false, kWhole = true, kTwice = true;
  const Block& block;

  float d() const { return V::half(block.d); }
  typename V::w scales() const { return V::scales8(odd(spread_nibbles(u32_at(block.scales)))); }
  template <int k>
  typename V::b codes() const {
    return V::eight_of_4(kIq3SGrid.at, V::indices(block.qs + 8 * k, block.qh[k]));
  }
  template <int k>
  typename V::b with_signs(typename V::b x) const {
    return V::negate_where(x, u32_at(block.signs + 4 * k));
  }
  template <int n>
  auto codes64() const {
    using T = typename V::Twice;
    const uint32_t ninth = block.qh[2 * n] | static_cast<uint32_t>(block.qh[2 * n + 1]) << 8;
    return T::sixteen_of_4(kIq3SGrid.at, T::with_bit(T::sixteen_bytes(block.qs + 16 * n), ninth));
  }
};

template <class V>
struct CodesIq1S {
  using Block = BlockIq1S;
  static constexpr FormatId kFormat = FormatId::iq1_s;
  using Bytes = SmallBytes<18, 32, 9>;
  static constexpr int kBias = 9;
  static constexpr bool kSigned = false, kMins = false, kWhole = true;
  const Block& block;

  float d() const { return V::half(block.d) * 0.125f; }
  typename V::w scales() const {
    uint64_t s = 0;
    for (int k = 0; k < 8; ++k) s |= static_cast<uint64_t>(block.qh[k] >> 12 & 7) << 8 * k;
    return V::scales8(odd(s));
  }
  template <int k>
  typename V::b codes() const {
    const uint8_t* q = block.qs + 4 * k;
    const uint32_t high = block.qh[k];
    const auto grid =
        V::four_of_8(kIq1Shifted.at[q[0] | (high << 8 & 0x700)], kIq1Shifted.at[q[1] | (high << 5 & 0x700)],
                     kIq1Shifted.at[q[2] | (high << 2 & 0x700)], kIq1Shifted.at[q[3] | (high >> 1 & 0x700)]);
    return V::add_b(grid, V::splat_byte(high & 0x8000 ? -1 : 1));
  }
};

template <class V>
struct CodesIq1M {
  using Block = BlockIq1M;
  static constexpr FormatId kFormat = FormatId::iq1_m;
  using Bytes = SmallBytes<18, 16, 9>;
  static constexpr int kBias = 9;
  static constexpr bool kSigned = false, kMins = false, kWhole = false;
  const Block& block;

  float d() const {
    uint32_t half = 0;
    for (int k = 0; k < 4; ++k) half |= static_cast<uint32_t>(block.scales[k] >> 12) << 4 * k;
    return V::half(static_cast<uint16_t>(half)) * 0.125f;
  }
  typename V::w scales() const { return V::scales16({odd(eight(0)), odd(eight(2))}); }
  template <int k>
  typename V::b codes() const {
    const uint8_t* q = block.qs + 4 * k;
    const uint32_t high = block.qh[2 * k] | static_cast<uint32_t>(block.qh[2 * k + 1]) << 8;
    const auto grid =
        V::four_of_8(kIq1Shifted.at[q[0] | (high << 8 & 0x700)], kIq1Shifted.at[q[1] | (high << 4 & 0x700)],
                     kIq1Shifted.at[q[2] | (high & 0x700)], kIq1Shifted.at[q[3] | (high >> 4 & 0x700)]);
    return V::add_b(grid,
                    V::from_u64(delta(high >> 3), delta(high >> 7), delta(high >> 11), delta(high >> 15)));
  }

 private:
  static uint64_t delta(uint32_t negative) { return negative & 1 ? ~uint64_t{0} : kEachByte; }
  uint64_t eight(int first) const {
    uint64_t s = 0;
    for (int t = 0; t < 8; ++t)
      s |= static_cast<uint64_t>(block.scales[first + t / 4] >> 3 * (t % 4) & 7) << 8 * t;
    return s;
  }
};

template <class V>
struct CodesIq4Xs {
  using Block = BlockIq4Xs;
  static constexpr FormatId kFormat = FormatId::iq4_xs;
  static constexpr int kBias = 0;
  static constexpr bool kSigned = true, kMins = false, kWhole = true;
  const Block& block;

  float d() const { return V::half(block.d); }
  typename V::w scales() const {
    const uint64_t six = spread_nibbles(u32_at(block.scales_l)) | spread_pairs(block.scales_h) << 4;
    return V::scales8(((six | 0x80 * kEachByte) - 0x20 * kEachByte) ^ 0x80 * kEachByte);
  }
  template <int k>
  typename V::b codes() const {
    return V::abs_b(levels<k>());
  }
  template <int k>
  typename V::b with_signs(typename V::b x) const {
    return V::sign_b(x, levels<k>());
  }
  template <int k>
  auto raised_levels() const {
    return V::raised_level(block.qs + 16 * k);
  }
  typename V::f32 real_scales() const requires requires { V::kFours; }
  { return V::iq4_scales(block.scales_l, block.scales_h); }

 private:
  template <int k>
  typename V::b levels() const {
    return V::look_up(kIq4Bytes, V::nibbles(block.qs + 16 * k));
  }
};

template <class V>
using IqCodes = CodesList<CodesIq1S<V>, CodesIq1M<V>, CodesIq2Xxs<V>, CodesIq2Xs<V>, CodesIq2S<V>,
                          CodesIq3Xxs<V>, CodesIq3S<V>, CodesIq4Xs<V>>;

}  // namespace
}  // namespace snug::infer
