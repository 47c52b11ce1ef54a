#pragma once

#include "quant/kernels/decode_iquant.hpp"
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
//   static void store(Block*, const IqScales&, const IqCodes*)   into a block of zeros
//   static void load(const Block&, IqScales&, IqCodes*)          the inverse; leaves IqScales::d
//   static decode: as in Kernels

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

  /// Points at multiples of the typical scale, and where the weightiest element would be met exactly.
  IqParabolas try_scales(IqMultiples multiples) {
    static_assert(24 + Form::kPeakLevels <= kMaxTrials);
    IqParabolas p;
    for (int sub = 0; sub < kSubs; ++sub) {
      const int from = sub * Form::kSubWeights;
      const float typical = typical_scale<V>(block, from, Form::kSubWeights) * Form::kTypical;
      const auto trial = [&](int k, float t) { form.trial(from, t, p.a[k][sub], p.b[k][sub]); };
      p.trials = 0;
      for (int k = 0; k < multiples.count; ++k) trial(p.trials++, typical * multiples.at[k]);
      if constexpr (Form::kPeakLevels > 0) {
        const float peak = weightiest<V>(block, from, Form::kSubWeights);
        for (int l = 0; l < Form::kPeakLevels; ++l)
          trial(p.trials++, peak / static_cast<float>(Form::kLevels[7 - l]));
      }
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
    const IqParabolas tried = try_scales(Form::trials(false));
    IqScales scales = kScales.choose(block, tried, 24, Form::kLow, Form::kStep);
    if (Form::kTryNeighbours) try_neighbours(scales);
    const Result best = settle(scales, 0);
    return hard ? encode_hard(best) : best;
  }

  /// Moves each sub-scale to a neighbour where quick points are better there.
  void try_neighbours(IqScales& scales) {
    for (int sub = 0; sub < kSubs; ++sub) {
      float least = 0x1p100f;
      const int middle = scales.s[sub];
      for (int s = middle - 1; s <= middle + 1; ++s) {
        if (s < 0 || s > Form::kLargestSubScale) continue;
        const float t = scales.d * Form::kUnit * static_cast<float>(2 * s + 1);
        float a, b;
        form.trial(sub * Form::kSubWeights, t, a, b);
        const float e = t * (t * a - b - b);
        if (!(e < least)) continue;
        least = e;
        scales.s[sub] = static_cast<uint8_t>(s);
      }
    }
  }

  /// More trials, and for the best super-scale in each of four ranges: neighbouring sub-scales, and all again
  /// from what that gives. What is no better than rounding errors can tell is not taken, so that this is
  /// never worse.
  Result encode_hard(Result best) {
    const float gain = 1e-6f * block.energy;
    const IqParabolas tried = try_scales(Form::trials(true));
    float low = Form::kLow;
    for (int range = 0; range < 4; ++range) {
      const Result next = settle(kScales.choose(block, tried, 24, low, Form::kFineStep), 1);
      if (next.error < best.error - gain) best = next;
      for (int k = 0; k < 24; ++k) low *= Form::kFineStep;
    }
    for (int round = 0; round < 2; ++round) {
      const Result next = settle(best.scales, 1);
      if (!(next.error < best.error - gain)) break;
      best = next;
    }
    return best;
  }
};

/// Whether a block is worse than zeros where importance is taken as it is, without IqBlock's traces.
template <Simd V, class Form>
bool worse_than_zeros(const typename Form::Block& stored, const float* x, const float* mean_square) {
  float decoded[kSuperBlock];
  Form::decode(&stored, kSuperBlock, decoded);
  double error = 0, energy = 0, weight = 0;
  for (int j = 0; j < kSuperBlock; ++j) {
    const double off = static_cast<double>(decoded[j]) - x[j], v = mean_square[j];
    error += v * off * off;
    energy += v * x[j] * x[j];
    weight += v;
  }
  return weight > 0 && error > energy;
}

template <Simd V, class Form>
void encode_iq(const EncodeJob& job) noexcept {
  using Block = typename Form::Block;
  auto* out = static_cast<Block*>(job.blocks);
  IqBlock block;
  for (int64_t at = 0; at < job.cols; at += kSuperBlock, ++out) {
    std::memset(out, 0, sizeof(Block));
    const float* mean_square = job.mean_square ? job.mean_square + at : nullptr;
    if (!load_block<V>(block, job.x + at, mean_square)) continue;
    const auto result = IqSuperBlock<V, Form>(block).encode(job.hard);
    if (!(result.error < 0)) continue;
    Form::store(out, result.scales, result.codes);
    const bool sure = block.energy + result.error < 0.999f * block.seen_energy;
    if (mean_square && !sure && worse_than_zeros<V, Form>(*out, job.x + at, mean_square))
      std::memset(out, 0, sizeof(Block));
  }
}

/// The best points at the scales that are there.
template <Simd V, class Form>
void recode_iq(const RecodeJob& job) noexcept {
  auto* out = static_cast<typename Form::Block*>(job.block);
  IqBlock block;
  IqScales scales;
  IqCodes codes[kMaxSubBlocks];
  Form::load(*out, scales, codes);
  if (scales.bits == 0 || !load_block<V>(block, job.x, job.mean_square)) return;
  const Form form{block};
  for (int sub = job.from / Form::kSubWeights; sub < job.to / Form::kSubWeights; ++sub) {
    const float t =
        V::half(scales.bits) * block.down * Form::kUnit * static_cast<float>(2 * scales.s[sub] + 1);
    float a, b;
    codes[sub] = form.settle(sub * Form::kSubWeights, t, a, b);
  }
  std::memset(out, 0, sizeof *out);
  Form::store(out, scales, codes);
}

}  // namespace snug
