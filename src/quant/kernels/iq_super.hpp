#pragma once

#include "quant/kernels/decode_iquant.hpp"
#include "quant/kernels/iq_tried.hpp"

// The order of work in a super-block of a codebook format, whichever codebook it has.
//
// A Form supplies the constants kSubWeights, kLargestSubScale, kUnit (t = d kUnit (2s + 1)), kTypical (t of a
// sub-block whose weighted root mean square is 1), kRange and kFineStep (super-scales tried), trials(hard) ->
// the multiples of the typical scale to try, kPeakLevels (how many more scales to try, which take the
// weightiest element to the last levels), kTryAtLast (the scale settled on too), kAlternatives (points found
// at each), kSets (as in IqTried), and
//
//   Form(const IqBlock&)
//   void guess(int group, F per_t, int alternative, uint16_t* entry)   a point of eight weights, found
//   quickly F point(const uint16_t* entry), F target(int group)                it, and what it should come
//   near, over t void put(int group, const uint16_t* entry, int at, IqCodes&)       it, to be stored as group
//   `at` of a sub-block IqCodes settle(int from, float t, float& a, float& b)              the best points of
//   a sub-block static void store(Block*, const IqScales&, const IqCodes*)         into a block of zeros
//   static void load(const Block&, IqScales&, IqCodes*)                the inverse; leaves IqScales::d
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
  using F = typename V::f32;
  static constexpr int kSubs = kSuperBlock / Form::kSubWeights, kGroups = Form::kSubWeights / 8;
  static constexpr int kSets = Form::kSets,
                       kPoints = Form::kAlternatives / kSets;  // points in a set at each scale
  static constexpr IqRefit<V, kSubs> kScales{Form::kUnit, Form::kLargestSubScale};
  using Tried = IqTried<V, kSubs, kSets>;

  struct Result {
    IqScales scales;
    IqCodes codes[kSubs];
    float error;  // less IqBlock::energy
  };

  const IqBlock& block;
  Form form;

  explicit IqSuperBlock(const IqBlock& from) : block(from), form(from) {}

  /// Finds points at scale t of every sub-block.
  void try_at(const float* t, Tried& tried) const {
    alignas(32) float per_t[kSubs];
    for (int v = 0; v < kSubs; v += 8) V::store(per_t + v, V::splat(1.0f) / V::load(t + v));
    for (int alternative = 0; alternative < Form::kAlternatives; ++alternative) {
      const int set = alternative % kSets, k = tried.trials + alternative / kSets;
      for (int i = 0; i < kGroups; ++i)
        for (int v = 0; v < kSubs; v += 8) {
          F a[8], b[8];
          for (int lane = 0; lane < 8; ++lane) {
            const int group = (v + lane) * kGroups + i;
            uint16_t* entry = tried.entry[set][k][i][v + lane];
            form.guess(group, V::splat(per_t[v + lane]), alternative, entry);
            const F p = form.point(entry), vp = V::load(block.v + 8 * group) * p;
            a[lane] = vp * p;
            b[lane] = vp * form.target(group);
          }
          V::store(&tried.a[set][k][i][v], sums(a));
          const F sum_b = sums(b);
          V::store(&tried.twice_b[set][k][i][v], sum_b + sum_b);
        }
    }
    tried.trials += kPoints;
  }

  /// Lane k: the sum over vector k.
  static F sums(F (&of)[8]) {
    V::transpose(of);
    return ((of[0] + of[4]) + (of[2] + of[6])) + ((of[1] + of[5]) + (of[3] + of[7]));
  }

  /// Points at multiples of the typical scale, and where the weightiest element would be met exactly.
  void try_scales(IqMultiples multiples, Tried& tried) const {
    static_assert(24 + Form::kPeakLevels <= kMaxTrials);
    alignas(32) float typical[kSubs], t[kSubs];
    for (int sub = 0; sub < kSubs; ++sub)
      typical[sub] = typical_scale<V>(block, sub * Form::kSubWeights, Form::kSubWeights) * Form::kTypical;
    tried.trials = 0;
    for (int k = 0; k < multiples.count; ++k) {
      for (int sub = 0; sub < kSubs; ++sub) t[sub] = typical[sub] * multiples.at[k];
      try_at(t, tried);
    }
    if constexpr (Form::kPeakLevels > 0) {
      for (int sub = 0; sub < kSubs; ++sub)
        typical[sub] = weightiest<V>(block, sub * Form::kSubWeights, Form::kSubWeights);
      for (int l = 0; l < Form::kPeakLevels; ++l) {
        for (int sub = 0; sub < kSubs; ++sub)
          t[sub] = typical[sub] / static_cast<float>(Form::kLevels[7 - l]);
        try_at(t, tried);
      }
    }
  }

  /// The best of the points tried of one sub-block at scale t.
  IqCodes take(const Tried& tried, int sub, float t, float& a, float& b) const {
    int which[kSets][kGroups], best = 0;
    float least = 0x1p100f;
    for (int set = 0; set < kSets; ++set) {
      float sum = 0;
      for (int i = 0; i < kGroups; ++i) {
        float e;
        which[set][i] = tried.best_trial(set, i, sub, t, e);
        sum += e;
      }
      if (!(sum < least)) continue;
      least = sum;
      best = set;
    }
    IqCodes codes{};
    a = b = 0;
    for (int i = 0; i < kGroups; ++i) {
      const int k = which[best][i];
      a += tried.a[best][k][i][sub];
      b += 0.5f * tried.twice_b[best][k][i][sub];
      form.put(sub * kGroups + i, tried.entry[best][k][i][sub], i, codes);
    }
    return codes;
  }

  Result take(const Tried& tried, const IqScales& scales) const {
    Result r;
    r.scales = scales;
    IqSettled settled;
    for (int sub = 0; sub < kSubs; ++sub)
      r.codes[sub] = take(tried, sub, scale_at(scales, scales.s[sub]), settled.a[sub], settled.b[sub]);
    r.error = kScales.fit(block, settled, r.scales);
    return r;
  }

  static float scale_at(const IqScales& scales, int s) {
    return scales.d * Form::kUnit * static_cast<float>(2 * s + 1);
  }

  /// The best points of every sub-block at the given scales, and at `around` sub-scales to either side.
  Result settle(const IqScales& scales, int around) const {
    Result r;
    r.scales = scales;
    IqSettled settled;
    for (int sub = 0; sub < kSubs; ++sub) {
      float least = 0x1p100f;
      for (int s = scales.s[sub] - around; s <= scales.s[sub] + around; ++s) {
        if (s < 0 || s > Form::kLargestSubScale) continue;
        const float t = scale_at(scales, s);
        float a, b;
        const IqCodes codes = form.settle(sub * Form::kSubWeights, t, a, b);
        const float e = t * (t * a - b - b);
        if (!(e < least)) continue;
        least = e;
        r.scales.s[sub] = static_cast<uint8_t>(s);
        r.codes[sub] = codes;
        settled.a[sub] = a;
        settled.b[sub] = b;
      }
    }
    r.error = kScales.fit(block, settled, r.scales);
    return r;
  }

  Result encode(bool hard) const {
    Tried tried;
    try_scales(Form::trials(false), tried);
    const IqScales scales = choose_scales(block, tried, kScales, Form::kRange);
    if constexpr (Form::kTryAtLast) {
      alignas(32) float t[kSubs];
      for (int sub = 0; sub < kSubs; ++sub) t[sub] = scale_at(scales, scales.s[sub]);
      try_at(t, tried);
    }
    const Result best = take(tried, scales);
    return hard ? encode_hard(best, tried) : best;
  }

  /// More trials, the best super-scale in each of four ranges, and for the best of all the best points, at
  /// neighbouring sub-scales too. What is no better than rounding errors can tell is not taken, so that this
  /// is never worse.
  Result encode_hard(Result best, Tried& tried) const {
    const float gain = 1e-6f * block.energy;
    const auto consider = [&](const Result& next) {
      if (next.error < best.error - gain) best = next;
    };
    try_scales(Form::trials(true), tried);
    IqRange range{24, Form::kRange.low, Form::kFineStep};
    for (int i = 0; i < 4; ++i) {
      consider(take(tried, choose_scales(block, tried, kScales, range)));
      for (int k = 0; k < range.candidates; ++k) range.low *= range.step;
    }
    consider(settle(best.scales, 1));
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

/// Points anew at the scales that are there.
template <Simd V, class Form>
void recode_iq(const RecodeJob& job) noexcept {
  using Super = IqSuperBlock<V, Form>;
  auto* out = static_cast<typename Form::Block*>(job.block);
  IqBlock block;
  IqScales scales;
  IqCodes codes[kMaxSubBlocks];
  Form::load(*out, scales, codes);
  if (scales.bits == 0 || !load_block<V>(block, job.x, job.mean_square)) return;
  scales.d = V::half(scales.bits) * block.down;
  const Super super{block};
  for (int sub = job.from / Form::kSubWeights; sub < job.to / Form::kSubWeights; ++sub) {
    float a, b;
    codes[sub] = super.form.settle(sub * Form::kSubWeights, Super::scale_at(scales, scales.s[sub]), a, b);
  }
  std::memset(out, 0, sizeof *out);
  Form::store(out, scales, codes);
}

template <Simd V, class Form>
constexpr CodecRow iq_codec(FormatId id) {
  return {id, {encode_iq<V, Form>, Form::decode, recode_iq<V, Form>}};
}

}  // namespace snug
