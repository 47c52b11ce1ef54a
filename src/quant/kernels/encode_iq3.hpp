#pragma once

#include "quant/kernels/iq_super.hpp"
#include "quant/nearest.hpp"

namespace snug {

namespace {

constexpr float kIq3Trials[] = {0.42f, 0.48f, 0.55f, 0.62f, 0.7f, 0.79f, 0.88f, 0.98f, 1.1f, 1.25f};
constexpr float kIq3HardTrials[] = {0.35f, 0.38f, 0.41f, 0.44f, 0.47f, 0.50f, 0.53f, 0.56f,
                                    0.60f, 0.64f, 0.68f, 0.72f, 0.76f, 0.80f, 0.85f, 0.90f,
                                    0.95f, 1.00f, 1.06f, 1.12f, 1.20f, 1.30f, 1.40f, 1.55f};
// From V::pack of four levels of coordinates 0..3 of a half to the levels of each coordinate together.
constexpr uint8_t kByCoordinate[16] = {0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15};

}  // namespace

/// The nearest points for two quads at once: four coordinates of eight levels each; see iq_nearest.hpp.
template <Simd V>
struct NearestQuads {
  using F = typename V::f32;
  using B = typename V::bytes;

  struct Costs {
    B first, second;  // in each half, one quad: coordinates 0 and 1, 2 and 3
  };
  struct Pair {
    int entry[2];
    float cost[2];  // above that of the best level of every coordinate
  };

  Book<uint8_t> book;
  const uint8_t* levels;
  F key_scale, key_offset;  // u to level

  F point(const int (&entry)[2]) const {
    alignas(8) uint8_t both[8];
    std::memcpy(both, book.values + 4 * entry[0], 4);
    std::memcpy(both + 4, book.values + 4 * entry[1], 4);
    return V::to_f(V::load_u8(both));
  }

  F least_cost(F u) const {
    F least = V::splat(0x1p100f);
    for (int l = 0; l < 8; ++l) {
      const F d = V::splat(levels[l]) - u;
      least = V::min(least, d * d);
    }
    return least;
  }

  Costs costs(F u, F price) const {
    F c[8], least = V::splat(0x1p100f);
    for (int l = 0; l < 8; ++l) {
      const F d = V::splat(levels[l]) - u;
      c[l] = d * d;
      least = V::min(least, c[l]);
    }
    typename V::i32 q[8];
    for (int l = 0; l < 8; ++l) q[l] = V::to_i(V::min(price * (c[l] - least), V::splat(255.0f)));
    const B order = V::load_twice(kByCoordinate);
    const B low = V::lookup(V::pack(q[0], q[1], q[2], q[3]), order);
    const B high = V::lookup(V::pack(q[4], q[5], q[6], q[7]), order);
    return {V::zip_low(low, high), V::zip_high(low, high)};
  }

  /// Costs of sixteen points for each quad; `a` holds levels 0 and 1, `b` levels 2 and 3.
  static B price(const Costs& costs, B a, B b) {
    const B first =
        V::add_sat(V::lookup(costs.first, V::low_nibbles(a)), V::lookup(costs.first, V::high_nibbles(a)));
    return V::add_sat(first, V::add_sat(V::lookup(costs.second, V::low_nibbles(b)),
                                        V::lookup(costs.second, V::high_nibbles(b))));
  }

  /// The best of sixteen neighbours of the rounded quads, up to the rounding of costs to bytes.
  void quick(F u, F price_of, int (&entry)[2]) const {
    const F level = V::round(V::min(V::max((u - key_offset) * key_scale, V::zero()), V::splat(7.0f)));
    constexpr float shift[8] = {1, 8, 64, 512, 4096, 32768, 262144, 2097152};
    const int32_t key = V::sum_i(V::to_i(level * V::load(shift)));
    const NearestEntries &near = book.nearest[key & 4095], &other = book.nearest[key >> 12];
    const B a = V::load_two(near.points.codes, other.points.codes);
    const B b = V::load_two(near.points.codes + 16, other.points.codes + 16);
    const B all = price(costs(u, price_of), a, b);
    entry[0] = near.entry[V::template least<0>(all) & 255];
    entry[1] = other.entry[V::template least<1>(all) & 255];
  }

  /// Costs above those of the best levels.
  void cost(F u, F v, Pair& pair) const {
    const F d = point(pair.entry) - u;
    alignas(32) float c[8];
    V::store(c, v * (d * d - least_cost(u)));
    pair.cost[0] = (c[0] + c[1]) + (c[2] + c[3]);
    pair.cost[1] = (c[4] + c[5]) + (c[6] + c[7]);
  }

  /// Replaces each point by the best that costs less. Exact: as in Nearest8::within, with four coordinates.
  void improve(F u, F v, Pair& best) const {
    alignas(32) float bound[8], at[8], least[8], weight[8];
    for (int j = 0; j < 8; ++j) bound[j] = best.cost[j / 4] > 0x1p-40f ? best.cost[j / 4] : 0x1p-40f;
    const Costs table = costs(u, v * (V::splat(240.0f) / V::load(bound)));
    V::store(at, u);
    V::store(least, least_cost(u));
    V::store(weight, v);
    const B limit = V::splat_b(242);
    for (int i = 0; i < book.entries / 16; ++i) {
      uint32_t close = V::bits_le(
          price(table, V::load_twice(book.all[i].codes), V::load_twice(book.all[i].codes + 16)), limit);
      for (; close; close &= close - 1) {
        const int bit = __builtin_ctz(close), quad = bit >> 4, entry = 16 * i + (bit & 15);
        float c[4];
        for (int j = 0; j < 4; ++j) {
          const float d = static_cast<float>(book.values[4 * entry + j]) - at[4 * quad + j];
          c[j] = weight[4 * quad + j] * (d * d - least[4 * quad + j]);
        }
        const float sum = (c[0] + c[1]) + (c[2] + c[3]);
        if (!(sum < best.cost[quad])) continue;
        best.cost[quad] = sum;
        best.entry[quad] = entry;
      }
    }
  }

  Pair nearest(F u, F v, F price_of) const {
    Pair best;
    quick(u, price_of, best.entry);
    cost(u, v, best);
    if (best.cost[0] > 0x1p-40f || best.cost[1] > 0x1p-40f) improve(u, v, best);
    return best;
  }
};

/// iq3_xxs and iq3_s: four magnitudes of eight levels from a codebook, and signs; with parity as in iq2.
template <Simd V, class Traits>
struct Iq3Form : Traits {
  using F = typename V::f32;
  static constexpr DecodeRow decode = Traits::template kDecode<V>;
  using Pair = typename NearestQuads<V>::Pair;
  static constexpr int kSubWeights = 32;
  static constexpr int kLargestSubScale = 15;
  static constexpr float kLow = 0.6f, kStep = 1.04f, kFineStep = 1.0135f;
  static IqMultiples trials(bool hard) {
    return hard ? IqMultiples{kIq3HardTrials, 24} : IqMultiples{kIq3Trials, 10};
  }

  const IqBlock& block;
  NearestQuads<V> grid;
  alignas(32) float magnitude[kSuperBlock];  // negative where the quick search flips the sign
  alignas(32) float priced[kSuperBlock];     // v in byte units of cost
  uint8_t sign[kSuperBlock / 8];

  explicit Iq3Form(const IqBlock& from)
      : block(from),
        grid{Traits::book(), Traits::levels(), V::splat(1 / Traits::kStep8), V::splat(Traits::kLevel0)} {
    for (int g = 0; g < kSuperBlock / 8; ++g) {
      const F x = V::load(block.x + 8 * g), v = V::load(block.v + 8 * g);
      sign[g] = static_cast<uint8_t>(V::bits(V::lt(x, V::zero())));
      F a = V::abs(x);
      if (odd(g)) {
        const F price = v * a;
        a = V::select(lane(__builtin_ctz(V::bits(V::eq(price, V::splat(V::min_of(price)))))), -a, a);
      }
      V::store(magnitude + 8 * g, a);
      V::store(priced + 8 * g, byte_price(v));
    }
  }

  bool odd(int g) const { return Traits::kParity && (__builtin_popcount(sign[g]) & 1); }
  static typename V::mask lane(int k) { return V::eq_i(V::iota_i(), V::splat_i(k)); }

  static F byte_price(F v) {
    alignas(32) float w[8];
    V::store(w, v);
    for (int quad = 0; quad < 8; quad += 4) {
      const float even = ((w[quad] + w[quad + 1]) + (w[quad + 2] + w[quad + 3])) * 0.25f;
      float sum = 0;
      for (int j = quad; j < quad + 4; ++j) sum += w[j] < even ? w[j] : even;
      const float factor = 255.0f / (Traits::kByteRange * sum);
      for (int j = quad; j < quad + 4; ++j) w[j] *= factor;
    }
    return V::load(w);
  }

  void trial(int from, float t, float& a, float& b) const {
    const F per_t = V::splat(1 / t);
    F sum_a = V::zero(), sum_b = V::zero();
    for (int j = from; j < from + kSubWeights; j += 8) {
      const F m = V::load(magnitude + j), v = V::load(block.v + j);
      int entry[2];
      grid.quick(m * per_t, V::load(priced + j), entry);
      const F p = grid.point(entry);
      sum_a = sum_a + v * p * p;
      sum_b = sum_b + v * m * p;
    }
    a = V::sum(sum_a);
    b = V::sum(sum_b);
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
      Pair pair = grid.nearest(m * per_t, v, V::load(priced + j));
      if (odd(j / 8)) {
        const int flipped = settle_odd(m * per_t, v, V::load(priced + j), pair);
        codes.sign[i] = static_cast<uint8_t>(codes.sign[i] ^ 1 << flipped);
        m = V::select(lane(flipped), -m, m);
      }
      for (int quad = 0; quad < 2; ++quad)
        codes.entry[2 * i + quad] = static_cast<uint16_t>(pair.entry[quad]);
      const F p = grid.point(pair.entry);
      sum_a = sum_a + v * p * p;
      sum_b = sum_b + v * m * p;
    }
    a = V::sum(sum_a);
    b = V::sum(sum_b);
    return codes;
  }

  /// The best points with one sign wrong, from the best with all signs right; returns which. Flipping element
  /// k costs at least `extra` above the other quad's best.
  int settle_odd(F u, F v, F price, Pair& pair) const {
    const F low = V::splat(grid.levels[0]) + u;
    alignas(32) float extra[8];
    V::store(extra, v * (low * low - grid.least_cost(u)));
    const Pair right = pair;
    int best_flip = -1;
    float best = 0x1p100f;
    bool done[8] = {};
    for (int n = 0; n < 8; ++n) {
      int k = -1;
      for (int j = 0; j < 8; ++j)
        if (!done[j] && (k < 0 || extra[j] < extra[k])) k = j;
      done[k] = true;
      const int quad = k / 4;
      if (!(extra[k] + right.cost[1 - quad] < best)) continue;
      const Pair flipped = grid.nearest(V::select(lane(k), -u, u), v, price);
      const float total = extra[k] + flipped.cost[quad] + right.cost[1 - quad];
      if (best_flip >= 0 && !(total < best)) continue;
      best = total;
      best_flip = k;
      pair = right;
      pair.entry[quad] = flipped.entry[quad];
    }
    return best_flip;
  }
};

struct Iq3XxsTraits {
  using Block = BlockIq3Xxs;
  static constexpr bool kParity = true;
  static constexpr float kUnit = 0.25f, kTypical = 1.0f / 22, kByteRange = 100, kStep8 = 8, kLevel0 = 4;
  static Book<uint8_t> book() { return search_iq3_xxs(); }
  static const uint8_t* levels() { return kIq3XxsLevels; }

  template <Simd V>
  static constexpr DecodeRow kDecode = decode_iq3_xxs<V>;

  static void store(Block* out, const IqScales& scales, const IqCodes* codes) {
    out->d = scales.bits;
    for (int b = 0; b < 8; ++b) {
      uint32_t word = static_cast<uint32_t>(scales.s[b]) << 28;
      for (int q = 0; q < 8; ++q) out->qs[8 * b + q] = static_cast<uint8_t>(codes[b].entry[q]);
      for (int l = 0; l < 4; ++l) word |= static_cast<uint32_t>(codes[b].sign[l] & 127) << 7 * l;
      put_u32(out->gas + 4 * b, word);
    }
  }
};

struct Iq3STraits {
  using Block = BlockIq3S;
  static constexpr bool kParity = false;
  static constexpr float kUnit = 1, kTypical = 1.0f / 6.5f, kByteRange = 6, kStep8 = 2, kLevel0 = 1;
  static Book<uint8_t> book() { return search_iq3_s(); }
  static const uint8_t* levels() { return kIq3SLevels; }

  template <Simd V>
  static constexpr DecodeRow kDecode = decode_iq3_s<V>;

  static void store(Block* out, const IqScales& scales, const IqCodes* codes) {
    out->d = scales.bits;
    for (int b = 0; b < 8; ++b) {
      for (int q = 0; q < 8; ++q) {
        out->qs[8 * b + q] = static_cast<uint8_t>(codes[b].entry[q]);
        out->qh[b] = static_cast<uint8_t>(out->qh[b] | (codes[b].entry[q] >> 8) << q);
      }
      for (int l = 0; l < 4; ++l) out->signs[4 * b + l] = codes[b].sign[l];
      out->scales[b / 2] = static_cast<uint8_t>(out->scales[b / 2] | scales.s[b] << 4 * (b % 2));
    }
  }
};

template <Simd V>
void encode_iq3_xxs(const EncodeJob& job) noexcept {
  encode_iq<V, Iq3Form<V, Iq3XxsTraits>>(job);
}

template <Simd V>
void encode_iq3_s(const EncodeJob& job) noexcept {
  encode_iq<V, Iq3Form<V, Iq3STraits>>(job);
}

}  // namespace snug
