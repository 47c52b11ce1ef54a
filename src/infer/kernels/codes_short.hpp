#pragma once

#include "infer/kernels/codes.hpp"

// Formats of 32 to 128 weights a block; see codes.hpp.

namespace snug::infer {
namespace {

struct NoOffset {
  static constexpr bool kOffset = false, kHalves = false;
};

/// Formats of 32 weights with one d in f16.
template <class V, class BlockOf>
struct OneScale : NoOffset {
  using Block = BlockOf;
  static constexpr int kGroups = 1;
  const Block& block;
  explicit OneScale(const Block& b) : block{b} {}

  float d(int) const { return V::half(block.d); }
  typename V::f32 d_everywhere(int) const { return V::splat_half(block.d); }
};

/// The same with an m.
template <class V, class BlockOf>
struct OneScaleAndOffset : OneScale<V, BlockOf> {
  static constexpr bool kOffset = true;
  using OneScale<V, BlockOf>::OneScale;

  float m(int) const { return V::half(this->block.m); }
};

template <class V>
struct CodesQ4_0 : OneScale<V, BlockQ4_0> {
  static constexpr FormatId kFormat = FormatId::q4_0;
  using OneScale<V, BlockQ4_0>::OneScale;
  typename V::b codes(int) const { return V::sub_b(V::nibbles(this->block.qs), V::splat_byte(8)); }
};

template <class V>
struct CodesQ4_1 : OneScaleAndOffset<V, BlockQ4_1> {
  static constexpr FormatId kFormat = FormatId::q4_1;
  using OneScaleAndOffset<V, BlockQ4_1>::OneScaleAndOffset;
  typename V::b codes(int) const { return V::nibbles(this->block.qs); }
};

template <class V>
typename V::b five_bits(const uint8_t* qh, const uint8_t* qs) {
  return V::or_b(V::nibbles(qs), V::and_b(V::mask_of(u32_at(qh)), V::splat_byte(16)));
}

template <class V>
struct CodesQ5_0 : OneScale<V, BlockQ5_0> {
  static constexpr FormatId kFormat = FormatId::q5_0;
  using OneScale<V, BlockQ5_0>::OneScale;
  typename V::b codes(int) const {
    return V::sub_b(five_bits<V>(this->block.qh, this->block.qs), V::splat_byte(16));
  }
};

template <class V>
struct CodesQ5_1 : OneScaleAndOffset<V, BlockQ5_1> {
  static constexpr FormatId kFormat = FormatId::q5_1;
  using OneScaleAndOffset<V, BlockQ5_1>::OneScaleAndOffset;
  typename V::b codes(int) const { return five_bits<V>(this->block.qh, this->block.qs); }
};

template <class V>
struct CodesQ8_0 : OneScale<V, BlockQ8_0> {
  static constexpr FormatId kFormat = FormatId::q8_0;
  using OneScale<V, BlockQ8_0>::OneScale;
  typename V::b codes(int) const { return V::load_b(this->block.qs); }
};

template <class V>
struct CodesIq4Nl : OneScale<V, BlockIq4Nl> {
  static constexpr FormatId kFormat = FormatId::iq4_nl;
  using OneScale<V, BlockIq4Nl>::OneScale;
  typename V::b codes(int) const { return V::look_up(kIq4Bytes, V::nibbles(this->block.qs)); }
};

template <class V>
struct CodesMxfp4 : NoOffset {
  using Block = BlockMxfp4;
  static constexpr FormatId kFormat = FormatId::mxfp4;
  static constexpr int kGroups = 1;
  const Block& block;
  explicit CodesMxfp4(const Block& b) : block{b} {}

  float d(int) const { return mxfp4_scale(block.e); }
  typename V::f32 d_everywhere(int) const { return V::splat(mxfp4_scale(block.e)); }
  typename V::b codes(int) const { return V::look_up(kFp4Bytes, V::nibbles(block.qs)); }
};

template <class V>
struct CodesNvfp4 {
  using Block = BlockNvfp4;
  static constexpr FormatId kFormat = FormatId::nvfp4;
  static constexpr int kGroups = 2;
  static constexpr bool kOffset = false, kHalves = true;
  const Block& block;
  explicit CodesNvfp4(const Block& b) : block{b} {}

  float d(int half) const { return nvfp4_scale(block.d[half]); }  // of 16 weights
  typename V::f32 d_everywhere(int group) const { return V::splat_halves(d(2 * group), d(2 * group + 1)); }
  typename V::b codes(int group) const {
    constexpr uint64_t low = 15 * kEachByte;
    const uint64_t a = load_u64(block.qs + 16 * group), b = load_u64(block.qs + 16 * group + 8);
    return V::look_up(kFp4Bytes, V::from_u64(a & low, a >> 4 & low, b & low, b >> 4 & low));
  }
};

template <class V>
struct CodesQ1_0 : NoOffset {
  using Block = BlockQ1_0;
  static constexpr FormatId kFormat = FormatId::q1_0;
  static constexpr int kGroups = 4;
  const Block& block;
  explicit CodesQ1_0(const Block& b) : block{b} {}

  float d(int) const { return V::half(block.d); }
  typename V::f32 d_everywhere(int) const { return V::splat_half(block.d); }
  typename V::b codes(int group) const {
    const auto minus = V::or_b(V::mask_of(u32_at(block.qs + 4 * group)), V::splat_byte(1));
    return V::sub_b(V::splat_byte(0), minus);
  }
};

template <class V>
struct CodesQ2_0 : NoOffset {
  using Block = BlockQ2_0;
  static constexpr FormatId kFormat = FormatId::q2_0;
  static constexpr int kGroups = 2;
  const Block& block;
  explicit CodesQ2_0(const Block& b) : block{b} {}

  float d(int) const { return V::half(block.d); }
  typename V::f32 d_everywhere(int) const { return V::splat_half(block.d); }
  typename V::b codes(int group) const {
    const uint64_t q = load_u64(block.qs + 8 * group);
    const auto eight = [&](int at) { return spread_pairs(static_cast<uint32_t>(q >> 16 * at & 0xffff)); };
    return V::sub_b(V::from_u64(eight(0), eight(1), eight(2), eight(3)), V::splat_byte(1));
  }
};

template <class V>
using ShortCodes = CodesList<CodesQ4_0<V>, CodesQ4_1<V>, CodesQ5_0<V>, CodesQ5_1<V>, CodesQ8_0<V>,
                             CodesIq4Nl<V>, CodesMxfp4<V>, CodesNvfp4<V>, CodesQ1_0<V>, CodesQ2_0<V>>;

}  // namespace
}  // namespace snug::infer
