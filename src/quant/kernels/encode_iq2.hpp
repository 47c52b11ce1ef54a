#pragma once

#include "quant/kernels/decode_iquant.hpp"
#include "quant/kernels/iq_nearest.hpp"
#include "quant/kernels/iq_super.hpp"

namespace snug {

namespace {

constexpr float kIq2Trials[] = {0.52f, 0.68f, 0.88f, 1.15f};
constexpr float kIq2HardTrials[] = {0.4f,  0.47f, 0.55f, 0.62f, 0.7f, 0.78f,
                                    0.86f, 0.94f, 1.02f, 1.1f,  1.2f, 1.35f};

}  // namespace

/// iq2_xxs, iq2_xs and iq2_s: eight magnitudes of {8, 25, 43} from a codebook, and their signs.
///
/// Where signs have parity (seven bits for eight signs), a group with an odd number of negatives must store
/// one element with the wrong sign.
template <Simd V, class Traits>
struct Iq2Form : Traits {
  using F = typename V::f32;
  static constexpr DecodeRow decode = Traits::template kDecode<V>;
  static constexpr int kSubWeights = Traits::kSubWeights;
  static constexpr int kLargestSubScale = 15;
  static constexpr float kUnit = 0.125f, kTypical = 1.0f / 19, kFineStep = 1.0135f;
  static constexpr IqRange kRange{24, 0.6f, 1.054f};
  static constexpr int kPeakLevels = 0;
  static constexpr bool kTryAtLast = false;
  static constexpr int kAlternatives = 1, kSets = 1;
  static IqMultiples trials(bool hard) {
    return hard ? IqMultiples{kIq2HardTrials, 12} : IqMultiples{kIq2Trials, 4};
  }

  const IqBlock& block;
  Nearest8<V, uint8_t> grid;
  alignas(32) float magnitude[kSuperBlock];  // of the weights; negative (or -0) where the quick search flips
                                             // the sign
  alignas(32) float priced[kSuperBlock];     // v in byte units of cost
  uint8_t sign[kSuperBlock / 8];             // of the weights themselves

  explicit Iq2Form(const IqBlock& from) : block(from), grid(Traits::book(), 8, 25, 43, 0) {
    float reach = 0;  // what the lowest level comes to
    for (int g = 0; g < kSuperBlock / 8; ++g) {
      if (Traits::kParity && 8 * g % kSubWeights == 0)
        reach = 8 * kTypical * typical_scale<V>(block, 8 * g, kSubWeights);
      const F x = V::load(block.x + 8 * g), v = V::load(block.v + 8 * g);
      sign[g] = static_cast<uint8_t>(V::bits(V::lt(x, V::zero())));
      F a = V::abs(x);
      if (odd(g)) {
        const F price = wrong_sign_price<V>(a, v, reach);
        a = V::select(lane(__builtin_ctz(V::bits(V::eq(price, V::splat(V::min_of(price)))))), -a, a);
      }
      V::store(magnitude + 8 * g, a);
      V::store(priced + 8 * g, byte_price(v));
    }
  }

  bool odd(int g) const { return Traits::kParity && (__builtin_popcount(sign[g]) & 1); }

  static F byte_price(F v) {
    const F even = V::splat(V::sum(v) / 8);
    return v * V::splat(255.0f / (Traits::kByteRange * V::sum(V::min(v, even))));
  }

  void guess(int group, F per_t, int, uint16_t* entry) const {
    const F u = V::load(magnitude + 8 * group) * per_t, price = V::load(priced + 8 * group);
    *entry = static_cast<uint16_t>(Traits::kScan ? grid.scan(u, price) : grid.quick(u, price));
  }
  F point(const uint16_t* entry) const { return grid.point(*entry); }
  F target(int group) const { return V::load(magnitude + 8 * group); }
  void put(int group, const uint16_t* entry, int at, IqCodes& codes) const {
    codes.entry[at] = *entry;
    codes.sign[at] =
        static_cast<uint8_t>(sign[group] ^ V::bits(V::lt_i(V::bits_i(target(group)), V::splat_i(0))));
  }

  IqCodes settle(int from, float t, float& a, float& b) const {
    const F per_t = V::splat(1 / t);
    F sum_a = V::zero(), sum_b = V::zero();
    IqCodes codes{};
    for (int i = 0; i < kSubWeights / 8; ++i) {
      const int j = from + 8 * i;
      const F v = V::load(block.v + j);
      F m = V::abs(V::load(block.x + j));
      codes.sign[i] = sign[j / 8];
      if (odd(j / 8)) {
        const int flipped = settle_odd(m * per_t, v, V::load(priced + j), codes.entry[i]);
        codes.sign[i] = static_cast<uint8_t>(codes.sign[i] ^ 1 << flipped);
        m = V::select(lane(flipped), -m, m);
      } else {
        codes.entry[i] = static_cast<uint16_t>(grid.nearest(m * per_t, v, V::load(priced + j)).entry);
      }
      const F p = grid.point(codes.entry[i]);
      sum_a = sum_a + v * p * p;
      sum_b = sum_b + v * m * p;
    }
    a = V::sum(sum_a);
    b = V::sum(sum_b);
    return codes;
  }

  static typename V::mask lane(int k) { return V::eq_i(V::iota_i(), V::splat_i(k)); }

  /// The best point with one sign wrong; returns which. Flipping element k costs at least what its lowest
  /// level costs then, so most k are out of the running once one is settled.
  int settle_odd(F u, F v, F price, uint16_t& entry) const {
    const F low = grid.level[0] + u;
    F least = (grid.level[0] - u) * (grid.level[0] - u);
    for (int l = 1; l < 3; ++l) least = V::min(least, (grid.level[l] - u) * (grid.level[l] - u));
    alignas(32) float extra[8];
    V::store(extra, v * (low * low - least));
    int best_flip = 0;
    for (int k = 1; k < 8; ++k)
      if (extra[k] < extra[best_flip]) best_flip = k;
    const int first = best_flip;
    IqFound found = grid.nearest(V::select(lane(first), -u, u), v, price);
    float best = extra[first] + found.cost;
    for (int k = 0; k < 8; ++k) {
      if (k == first || !(extra[k] < best)) continue;
      const IqFound other = grid.within(V::select(lane(k), -u, u), v, best - extra[k]);
      if (other.entry < 0) continue;
      found = other;
      best = extra[k] + other.cost;
      best_flip = k;
    }
    entry = static_cast<uint16_t>(found.entry);
    return best_flip;
  }
};

struct Iq2XxsTraits {
  using Block = BlockIq2Xxs;
  static constexpr int kSubWeights = 32;
  static constexpr bool kParity = true, kScan = true;
  static constexpr float kByteRange = 600;
  static Book<uint8_t> book() { return search_iq2_xxs(); }

  template <Simd V>
  static constexpr DecodeRow kDecode = decode_iq2_xxs<V>;

  static void store(Block* out, const IqScales& scales, const IqCodes* codes) {
    out->d = scales.bits;
    for (int b = 0; b < 8; ++b) {
      uint32_t word = static_cast<uint32_t>(scales.s[b]) << 28;
      for (int l = 0; l < 4; ++l) {
        out->qs[8 * b + l] = static_cast<uint8_t>(codes[b].entry[l]);
        word |= static_cast<uint32_t>(codes[b].sign[l] & 127) << 7 * l;
      }
      put_u32(out->qs + 8 * b + 4, word);
    }
  }

  static void load(const Block& in, IqScales& scales, IqCodes* codes) {
    scales.bits = in.d;
    for (int b = 0; b < 8; ++b) {
      const uint32_t word = u32_at(in.qs + 8 * b + 4);
      scales.s[b] = static_cast<uint8_t>(word >> 28);
      for (int l = 0; l < 4; ++l) {
        codes[b].entry[l] = in.qs[8 * b + l];
        codes[b].sign[l] = sign_byte(word >> 7 * l);
      }
    }
  }
};

struct Iq2XsTraits {
  using Block = BlockIq2Xs;
  static constexpr int kSubWeights = 16;
  static constexpr bool kParity = true, kScan = false;
  static constexpr float kByteRange = 600;
  static Book<uint8_t> book() { return search_iq2_xs(); }

  template <Simd V>
  static constexpr DecodeRow kDecode = decode_iq2_xs<V>;

  static void store(Block* out, const IqScales& scales, const IqCodes* codes) {
    out->d = scales.bits;
    for (int g = 0; g < 32; ++g)
      out->qs[g] = static_cast<uint16_t>(codes[g / 2].entry[g % 2] | (codes[g / 2].sign[g % 2] & 127) << 9);
    for (int b = 0; b < 8; ++b)
      out->scales[b] = static_cast<uint8_t>(scales.s[2 * b] | scales.s[2 * b + 1] << 4);
  }

  static void load(const Block& in, IqScales& scales, IqCodes* codes) {
    scales.bits = in.d;
    for (int t = 0; t < 16; ++t) scales.s[t] = in.scales[t / 2] >> 4 * (t % 2) & 15;
    for (int g = 0; g < 32; ++g) {
      codes[g / 2].entry[g % 2] = in.qs[g] & 511;
      codes[g / 2].sign[g % 2] = sign_byte(in.qs[g] >> 9);
    }
  }
};

struct Iq2STraits {
  using Block = BlockIq2S;
  static constexpr int kSubWeights = 16;
  static constexpr bool kParity = false, kScan = false;
  static constexpr float kByteRange = 600;
  static Book<uint8_t> book() { return search_iq2_s(); }

  template <Simd V>
  static constexpr DecodeRow kDecode = decode_iq2_s<V>;

  static void store(Block* out, const IqScales& scales, const IqCodes* codes) {
    out->d = scales.bits;
    for (int g = 0; g < 32; ++g) {
      const int entry = codes[g / 2].entry[g % 2];
      out->qs[g] = static_cast<uint8_t>(entry);
      out->qh[g / 4] = static_cast<uint8_t>(out->qh[g / 4] | (entry >> 8) << 2 * (g % 4));
      out->signs[g] = codes[g / 2].sign[g % 2];
    }
    for (int b = 0; b < 8; ++b)
      out->scales[b] = static_cast<uint8_t>(scales.s[2 * b] | scales.s[2 * b + 1] << 4);
  }

  static void load(const Block& in, IqScales& scales, IqCodes* codes) {
    scales.bits = in.d;
    for (int t = 0; t < 16; ++t) scales.s[t] = in.scales[t / 2] >> 4 * (t % 2) & 15;
    for (int g = 0; g < 32; ++g) {
      codes[g / 2].entry[g % 2] = static_cast<uint16_t>(in.qs[g] | (in.qh[g / 4] >> 2 * (g % 4) & 3) << 8);
      codes[g / 2].sign[g % 2] = in.signs[g];
    }
  }
};

template <Simd V>
constexpr CodecRow kIq2Codecs[] = {
    iq_codec<V, Iq2Form<V, Iq2XxsTraits>>(FormatId::iq2_xxs),
    iq_codec<V, Iq2Form<V, Iq2XsTraits>>(FormatId::iq2_xs),
    iq_codec<V, Iq2Form<V, Iq2STraits>>(FormatId::iq2_s),
};

}  // namespace snug
