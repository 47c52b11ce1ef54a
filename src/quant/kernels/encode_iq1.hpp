#pragma once

#include "quant/kernels/decode_iquant.hpp"
#include "quant/kernels/iq_nearest.hpp"
#include "quant/kernels/iq_super.hpp"

namespace snug {

namespace {

constexpr float kIq1Trials[] = {0.7f, 1.0f};
constexpr float kIq1HardTrials[] = {0.45f, 0.55f, 0.65f, 0.75f, 0.85f, 0.95f, 1.05f, 1.2f};

}  // namespace

/// iq1_s and iq1_m: eight values of {-1, 0, 1} from a codebook, all shifted by 1/8 up or down; the shift is
/// common to kShiftWeights weights.
template <Simd V, class Traits>
struct Iq1Form : Traits {
  using F = typename V::f32;
  static constexpr DecodeRow decode = Traits::template kDecode<V>;
  static constexpr int kSubWeights = Traits::kSubWeights;
  static constexpr int kShiftWeights = Traits::kShiftWeights;
  static constexpr int kLargestSubScale = 7;
  static constexpr float kUnit = 1, kTypical = 1 / 0.75f, kFineStep = 1.017f;
  static constexpr IqRange kRange{24, 0.6f, 1.07f};
  static constexpr int kPeakLevels = 0;
  static constexpr bool kTryAtLast = true;
  static constexpr int kAlternatives = 2, kSets = kShiftWeights == 8 ? 1 : 2;
  static IqMultiples trials(bool hard) {
    return hard ? IqMultiples{kIq1HardTrials, 8} : IqMultiples{kIq1Trials, 2};
  }

  const IqBlock& block;
  Nearest8<V, int8_t> shifted[2];         // up, down
  alignas(32) float priced[kSuperBlock];  // v in byte units of cost

  explicit Iq1Form(const IqBlock& from)
      : block(from),
        shifted{{search_iq1(), -0.875f, 0.125f, 1.125f, 0.125f},
                {search_iq1(), -1.125f, -0.125f, 0.875f, -0.125f}} {
    for (int j = 0; j < kSuperBlock; j += 8) {
      const F v = V::load(block.v + j), even = V::splat(V::sum(v) / 8);
      V::store(priced + j, v * V::splat(255.0f / (Traits::kByteRange * V::sum(V::min(v, even)))));
    }
  }

  /// Sums over the weights that share a shift.
  struct Sums {
    F a = V::zero(), b = V::zero();
  };

  template <class Choose>
  void fit(int from, float t, float& a, float& b, Choose&& choose, uint8_t* down) const {
    F sum_a = V::zero(), sum_b = V::zero();
    const F per_t = V::splat(1 / t);
    for (int start = from; start < from + kSubWeights; start += kShiftWeights) {
      Sums sums[2];
      for (int shift = 0; shift < 2; ++shift)
        for (int j = start; j < start + kShiftWeights; j += 8) {
          const F x = V::load(block.x + j), v = V::load(block.v + j);
          const F p = shifted[shift].point(choose(shift, j, x * per_t, v));
          sums[shift].a = sums[shift].a + v * p * p;
          sums[shift].b = sums[shift].b + v * p * x;
        }
      const F more = V::splat(t) * (sums[1].a - sums[0].a) - V::splat(2.0f) * (sums[1].b - sums[0].b);
      const bool chosen = V::sum(more) < 0;
      sum_a = sum_a + sums[chosen].a;
      sum_b = sum_b + sums[chosen].b;
      for (int j = start; j < start + kShiftWeights; j += 8) down[(j - from) / 8] = chosen;
    }
    a = V::sum(sum_a);
    b = V::sum(sum_b);
  }

  /// Where the shift is negative, 1 << 15 is added to the entry.
  void guess(int group, F per_t, int alternative, uint16_t* entry) const {
    const int found =
        shifted[alternative].quick(V::load(block.x + 8 * group) * per_t, V::load(priced + 8 * group));
    *entry = static_cast<uint16_t>(found | alternative << 15);
  }
  F point(const uint16_t* entry) const { return shifted[*entry >> 15].point(*entry & 0x7fff); }
  F target(int group) const { return V::load(block.x + 8 * group); }
  void put(int, const uint16_t* entry, int at, IqCodes& codes) const {
    codes.entry[at] = *entry & 0x7fff;
    codes.sign[at] = static_cast<uint8_t>(*entry >> 15);
  }

  /// Which shift is decided by quick guesses where it is common to 32 weights: those hardly err together.
  IqCodes settle(int from, float t, float& a, float& b) const {
    IqCodes codes{};
    uint16_t entry[2][4];
    const auto guess = [&](int shift, int j, F u, F v) {
      int found = shifted[shift].quick(u, V::load(priced + j));
      if (kShiftWeights == 8) found = shifted[shift].improve(u, v, found).entry;
      entry[shift][(j - from) / 8] = static_cast<uint16_t>(found);
      return found;
    };
    fit(from, t, a, b, guess, codes.sign);
    for (int i = 0; i < kSubWeights / 8; ++i) codes.entry[i] = entry[codes.sign[i]][i];
    if (kShiftWeights == 8) return codes;

    const Nearest8<V, int8_t>& grid = shifted[codes.sign[0]];
    const F per_t = V::splat(1 / t);
    F sum_a = V::zero(), sum_b = V::zero();
    for (int j = from; j < from + kSubWeights; j += 8) {
      const F x = V::load(block.x + j), v = V::load(block.v + j);
      uint16_t& best = codes.entry[(j - from) / 8];
      best = static_cast<uint16_t>(grid.improve(x * per_t, v, best).entry);
      const F p = grid.point(best);
      sum_a = sum_a + v * p * p;
      sum_b = sum_b + v * p * x;
    }
    a = V::sum(sum_a);
    b = V::sum(sum_b);
    return codes;
  }
};

struct Iq1STraits {
  using Block = BlockIq1S;
  static constexpr int kSubWeights = 32, kShiftWeights = 32;
  static constexpr float kByteRange = 2;

  template <Simd V>
  static constexpr DecodeRow kDecode = decode_iq1_s<V>;

  static void store(Block* out, const IqScales& scales, const IqCodes* codes) {
    out->d = scales.bits;
    for (int b = 0; b < 8; ++b) {
      int word = scales.s[b] << 12 | codes[b].sign[0] << 15;
      for (int l = 0; l < 4; ++l) {
        out->qs[4 * b + l] = static_cast<uint8_t>(codes[b].entry[l]);
        word |= (codes[b].entry[l] >> 8) << 3 * l;
      }
      out->qh[b] = static_cast<uint16_t>(word);
    }
  }

  static void load(const Block& in, IqScales& scales, IqCodes* codes) {
    scales.bits = in.d;
    for (int b = 0; b < 8; ++b) {
      scales.s[b] = in.qh[b] >> 12 & 7;
      for (int l = 0; l < 4; ++l) {
        codes[b].entry[l] = static_cast<uint16_t>(in.qs[4 * b + l] | (in.qh[b] >> 3 * l & 7) << 8);
        codes[b].sign[l] = static_cast<uint8_t>(in.qh[b] >> 15);
      }
    }
  }
};

struct Iq1MTraits {
  using Block = BlockIq1M;
  static constexpr int kSubWeights = 16, kShiftWeights = 8;
  static constexpr float kByteRange = 2;

  template <Simd V>
  static constexpr DecodeRow kDecode = decode_iq1_m<V>;

  static void store(Block* out, const IqScales& scales, const IqCodes* codes) {
    for (int g = 0; g < 32; ++g) {
      const int entry = codes[g / 2].entry[g % 2], nibble = entry >> 8 | codes[g / 2].sign[g % 2] << 3;
      out->qs[g] = static_cast<uint8_t>(entry);
      out->qh[g / 2] = static_cast<uint8_t>(out->qh[g / 2] | nibble << 4 * (g % 2));
    }
    for (int k = 0; k < 4; ++k) {
      int word = (scales.bits >> 4 * k & 15) << 12;
      for (int t = 0; t < 4; ++t) word |= scales.s[4 * k + t] << 3 * t;
      out->scales[k] = static_cast<uint16_t>(word);
    }
  }

  static void load(const Block& in, IqScales& scales, IqCodes* codes) {
    int bits = 0;
    for (int k = 0; k < 4; ++k) bits |= in.scales[k] >> 12 << 4 * k;
    scales.bits = static_cast<uint16_t>(bits);
    for (int t = 0; t < 16; ++t) scales.s[t] = in.scales[t / 4] >> 3 * (t % 4) & 7;
    for (int g = 0; g < 32; ++g) {
      const int nibble = in.qh[g / 2] >> 4 * (g % 2) & 15;
      codes[g / 2].entry[g % 2] = static_cast<uint16_t>(in.qs[g] | (nibble & 7) << 8);
      codes[g / 2].sign[g % 2] = static_cast<uint8_t>(nibble >> 3);
    }
  }
};

template <Simd V>
constexpr CodecRow kIq1Codecs[] = {
    iq_codec<V, Iq1Form<V, Iq1STraits>>(FormatId::iq1_s),
    iq_codec<V, Iq1Form<V, Iq1MTraits>>(FormatId::iq1_m),
};

}  // namespace snug
