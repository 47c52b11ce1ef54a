#pragma once

#include "quant/kernels/encode_legacy.hpp"

// iq4_xs: y = d S kIq4[n] with one f16 d for 256 weights and a whole S in -32..31 for each 32.

namespace snug {

template <Simd V>
class Iq4XsSearch {
  using f32 = typename V::f32;

 public:
  Iq4XsSearch(const Prepared<256>& b, bool hard) noexcept : b_(b), hard_(hard) {
    for (int g = 0; g < 8; ++g) {
      wanted_[g] = search_group(g);
      curvature_[g] = group_curvature(g);
    }
  }

  void choose() noexcept {
    attempt(promising_scale());
    for (int k = 0; hard_ && k < 8; k += 2) attempt(other_[k]);
  }

  void take(const Iq4XsSearch& other) noexcept { keep(other.d, other.scale, other.error); }

  float d = 0;        // storable
  int scale[8] = {};  // S
  float error = 3e38f;

 private:
  const float* x(int g) const noexcept { return b_.x + 32 * g; }
  const float* w(int g) const noexcept { return b_.w + 32 * g; }

  float search_group(int g) const noexcept {
    auto most = V::zero(), least = V::zero();
    for (int j = 0; j < 32; j += 8) {
      most = V::max(most, V::load(x(g) + j));
      least = V::min(least, V::load(x(g) + j));
    }
    const float high = V::max_of(most), low = V::min_of(least), widest = high >= -low ? high : low;
    if (b_.widest == 0 || (widest < 0x1p-40f && widest > -0x1p-40f)) return 0;
    const Ladder ladder =
        hard_ ? Ladder{kFineIq4.levels, 48, kTypicalIq4, 8, 4} : Ladder{kLadderIq4, 16, kTypicalIq4, 8, 1};
    return search_scale<V, Iq4Levels>(x(g), w(g), 32, widest, ladder);
  }

  /// How fast the group's error grows as its scale leaves the wanted one: sum w y^2.
  float group_curvature(int g) const noexcept {
    const auto inverse = V::splat(wanted_[g] == 0 ? 0 : 1 / wanted_[g]);
    auto sum = V::zero();
    for (int j = 0; j < 32; j += 8) {
      const auto y = Iq4Levels::level<V>(V::load(x(g) + j) * inverse);
      sum = V::fma(V::load(w(g) + j) * y, y, sum);
    }
    return V::sum(sum);
  }

  static f32 nearest_scale(f32 s) noexcept { return Uniform<-32, 31>::level<V>(s); }

  /// The d that brings every group near its wanted scale; candidates take the largest to +-31 .. +-16.
  float promising_scale() noexcept {
    float largest = 0;
    for (float s : wanted_) largest = (s < 0 ? -s : s) > (largest < 0 ? -largest : largest) ? s : largest;
    if (largest == 0) return 0;
    Candidates<V> lanes;
    lanes.gain = V::splat(-3e38f);
    for (int k = 0; k < 40; k += 8) {
      const auto steps =
          V::splat(static_cast<float>(k < 24 ? -32 + k : 31 - (k - 24))) + (k < 24 ? V::iota() : -V::iota());
      const auto candidate = V::splat(largest) / steps;
      auto cost = V::zero();
      for (int g = 0; g < 8; ++g) {
        const auto off = V::splat(wanted_[g]) - candidate * nearest_scale(V::splat(wanted_[g]) / candidate);
        cost = V::fma(V::splat(curvature_[g]) * off, off, cost);
      }
      const auto better = V::lt(lanes.gain, -cost);
      lanes.gain = V::select(better, -cost, lanes.gain);
      lanes.scale = V::select(better, candidate, lanes.scale);
    }
    V::store(other_, lanes.scale);
    return lanes.best();
  }

  /// Group scales for d, the best d for these, and the group scales once more.
  void attempt(float start) noexcept {
    float at = storable(start);
    int s[8];
    float total = choose_scales(at, s);
    for (int r = 0; r < (hard_ ? 3 : 2); ++r) {
      keep(at, s, total);
      const float next = refit(at, s);
      if (next == at) break;
      at = next;
      total = choose_scales(at, s);
    }
    keep(at, s, total);
  }

  void keep(float at, const int* s, float total) noexcept {
    if (!(total < error)) return;
    error = total;
    d = at;
    std::memcpy(scale, s, sizeof scale);
  }

  static float storable(float x) noexcept {
    const float bounded = x < -65504.0f ? -65504.0f : x > 65504.0f ? 65504.0f : x;
    return V::half(V::to_half(bounded));
  }

  /// The best S of each group among eight around the wanted one; returns the error of all.
  float choose_scales(float at, int* s) const noexcept {
    float total = 0;
    for (int g = 0; g < 8; ++g) {
      const float ratio = at == 0 ? 0 : wanted_[g] / at;
      const float bounded = ratio < -28 ? -28.0f : ratio > 28 ? 28.0f : ratio;
      const auto middle = V::round(V::splat(bounded));
      const auto tried = nearest_scale(middle + V::iota() - V::splat(bounded < 0 ? 4 : 3));
      const auto errors = scale_errors<V, Iq4Levels>(x(g), w(g), 32, V::splat(at) * tried);
      s[g] = static_cast<int>(Candidates<V>::pick(-errors, tried));
      total += V::min_of(errors);
    }
    return total;
  }

  /// The f16 d with the least error for the codes' group scales.
  float refit(float at, const int* s) const noexcept {
    auto xy = V::zero(), yy = V::zero();
    for (int g = 0; g < 8; ++g) {
      const float by = at * static_cast<float>(s[g]);
      const auto inverse = V::splat(by == 0 ? 0 : 1 / by), step = V::splat(static_cast<float>(s[g]));
      for (int j = 0; j < 32; j += 8) {
        const auto xj = V::load(x(g) + j), y = step * Iq4Levels::level<V>(xj * inverse);
        const auto wy = V::load(w(g) + j) * y;
        xy = V::fma(wy, xj, xy);
        yy = V::fma(wy, y, yy);
      }
    }
    const float most = V::sum(yy);
    if (!(most > 0)) return at;
    const auto around = half_neighbours<V>(V::sum(xy) / most);
    auto errors = V::zero();
    for (int g = 0; g < 8; ++g)
      errors =
          errors + scale_errors<V, Iq4Levels>(x(g), w(g), 32, around * V::splat(static_cast<float>(s[g])));
    return Candidates<V>::pick(-errors, around);
  }

  const Prepared<256>& b_;
  const bool hard_;
  float wanted_[8], curvature_[8], other_[8] = {};
};

template <Simd V>
void encode_iq4_xs(const EncodeJob& job) noexcept {
  encode_blocks<V, BlockIq4Xs, 256>(job, [&](BlockIq4Xs& out, const Prepared<256>& b) {
    Iq4XsSearch<V> found{b, false};
    found.choose();
    if (job.hard) {
      Iq4XsSearch<V> harder{b, true};
      harder.choose();
      if (harder.error < found.error) found.take(harder);
    }
    out.d = V::to_half(found.d);
    uint32_t high = 0;
    for (int g = 0; g < 8; g += 2) {
      const int even = found.scale[g] + 32, odd = found.scale[g + 1] + 32;
      out.scales_l[g / 2] = static_cast<uint8_t>((even & 15) | (odd & 15) << 4);
      high |= static_cast<uint32_t>(even >> 4 | odd >> 4 << 2) << 2 * g;
    }
    out.scales_h = static_cast<uint16_t>(high);
    for (int g = 0; g < 8; ++g) {
      const float scale = found.d * static_cast<float>(found.scale[g]);
      put_nibbles<V, 16>(out.qs + 16 * g,
                         [&](int j) { return codes_at<V, Iq4Levels>(b.x + 32 * g + j, scale); });
    }
  });
}

template <Simd V>
void recode_iq4_xs(const RecodeJob& job) noexcept {
  auto& block = *static_cast<BlockIq4Xs*>(job.block);
  for (int g = job.from / 32; g < job.to / 32; ++g) {
    const int low = block.scales_l[g / 2] >> 4 * (g % 2) & 15, high = block.scales_h >> 2 * g & 3;
    const float scale = V::half(block.d) * static_cast<float>((low | high << 4) - 32);
    put_nibbles<V, 16>(block.qs + 16 * g,
                       [&](int j) { return codes_at<V, Iq4Levels>(job.x + 32 * g + j, scale); });
  }
}

template <Simd V>
void decode_iq4_xs(const void* blocks, int64_t cols, float* row) noexcept {
  decode_blocks<BlockIq4Xs, 256>(blocks, cols, row, [](const BlockIq4Xs& b, float* y) {
    const float super = V::half(b.d);
    for (int k = 0; k < 8; ++k) {
      const int scale = (b.scales_l[k / 2] >> 4 * (k & 1) & 15) | (b.scales_h >> 2 * k & 3) << 4;
      const auto d = V::splat(super * static_cast<float>(scale - 32));
      each_nibble<V, 16>(b.qs + 16 * k, y + 32 * k,
                         [&](float* to, auto n) { V::store(to, d * V::lookup16(kIq4, n)); });
    }
  });
}

template <Simd V>
constexpr CodecRow kIq4XsCodecs[] = {
    {FormatId::iq4_xs, {encode_iq4_xs<V>, decode_iq4_xs<V>, recode_iq4_xs<V>}},
};

}  // namespace snug
