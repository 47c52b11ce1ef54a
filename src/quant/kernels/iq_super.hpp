#pragma once

#include "quant/kernels/iq_block.hpp"

// The order of work in a super-block of a codebook format, whichever codebook it has.
//
// A Form supplies the constants kSubWeights, kLargestSubScale, kUnit (t = d kUnit (2s + 1)), kTypical (t of a
// sub-block whose weighted root mean square is 1), kLow and kStep (super-scales tried), trials(hard) -> the
// multiples of the typical scale to try, and
//
//   Form(const IqBlock&)
//   void trial(int from, float t, float& a, float& b)     one point of the sub-block, found quickly
//   Codes settle(int from, float t, float& a, float& b)   the best point, to be stored
//   static void store(Block*, const IqScales&, const Codes*)

namespace snug {

struct IqMultiples {
  const float* at;
  int count;
};

/// What is stored of a sub-block, except its scale.
struct IqCodes {
  uint16_t entry[8];  // codebook entries of its groups
  uint8_t sign[4];    // iq2, iq3: sign byte of each eight weights; iq1: 1 where delta is negative
};

template <Simd V, class Form>
struct IqSuperBlock {
  static constexpr int kSubs = kSuperBlock / Form::kSubWeights;
  static constexpr IqScaleSearch<V, kSubs> kScales{Form::kUnit, Form::kLargestSubScale};

  struct Result {
    IqScales scales;
    IqCodes codes[kSubs];
    float error;  // less IqBlock::energy
  };

  const IqBlock& block;
  Form form;

  explicit IqSuperBlock(const IqBlock& from) : block(from), form(from) {}

  IqParabolas try_scales(IqMultiples multiples) {
    IqParabolas p;
    p.trials = multiples.count;
    for (int sub = 0; sub < kSubs; ++sub) {
      const int from = sub * Form::kSubWeights;
      const float typical = typical_scale<V>(block, from, Form::kSubWeights) * Form::kTypical;
      for (int k = 0; k < multiples.count; ++k)
        form.trial(from, typical * multiples.at[k], p.a[k][sub], p.b[k][sub]);
    }
    return p;
  }

  /// The points of every sub-block at the given scales, and at `around` sub-scales to either side.
  Result settle(const IqScales& scales, int around) {
    Result r;
    r.scales = scales;
    IqParabolas settled;
    settled.trials = 1;
    for (int sub = 0; sub < kSubs; ++sub) {
      float least = 0x1p100f;
      for (int s = scales.s[sub] - around; s <= scales.s[sub] + around; ++s) {
        if (s < 0 || s > Form::kLargestSubScale) continue;
        const float t = scales.d * Form::kUnit * static_cast<float>(2 * s + 1);
        float a, b;
        const IqCodes codes = form.settle(sub * Form::kSubWeights, t, a, b);
        const float e = t * (t * a - b - b);
        if (!(e < least)) continue;
        least = e;
        r.scales.s[sub] = static_cast<uint8_t>(s);
        r.codes[sub] = codes;
        settled.a[0][sub] = a;
        settled.b[0][sub] = b;
      }
    }
    r.error = kScales.refit(block, settled, r.scales);
    return r;
  }

  Result encode(bool hard) {
    const IqParabolas tried = try_scales(Form::trials(hard));
    const IqScales first =
        kScales.choose(block, tried, hard ? 96 : 32, Form::kLow, hard ? Form::kFineStep : Form::kStep);
    Result best = settle(first, hard ? 1 : 0);
    if (hard)
      for (int round = 0; round < 2; ++round) {
        const Result next = settle(best.scales, 1);
        if (!(next.error < best.error)) break;
        best = next;
      }
    return best;
  }
};

template <Simd V, class Form>
void encode_iq(const EncodeJob& job) noexcept {
  using Block = typename Form::Block;
  auto* out = static_cast<Block*>(job.blocks);
  IqBlock block;
  for (int64_t at = 0; at < job.cols; at += kSuperBlock, ++out) {
    std::memset(out, 0, sizeof(Block));
    if (!load_block<V>(block, job.x + at, job.mean_square ? job.mean_square + at : nullptr)) continue;
    const auto result = IqSuperBlock<V, Form>(block).encode(job.hard);
    if (result.error < 0) Form::store(out, result.scales, result.codes);
  }
}

}  // namespace snug
