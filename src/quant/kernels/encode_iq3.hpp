#pragma once

#include "quant/kernels/decode_iquant.hpp"
#include "quant/kernels/iq_super.hpp"
#include "quant/codebooks/nearest.hpp"

namespace snug {

namespace {

constexpr float kIq3Trials[] = {0.5f, 0.65f, 0.82f, 1.0f, 1.2f};
constexpr float kIq3HardTrials[] = {0.35f, 0.41f, 0.47f, 0.53f, 0.6f, 0.68f,
                                    0.76f, 0.85f, 0.95f, 1.06f, 1.2f, 1.4f};
// From V::pack of four levels of coordinates 0..3 of a half to the levels of each coordinate together.
constexpr uint8_t kByCoordinate[16] = {0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15};

}  // namespace

/// The nearest points for two quads at once: four coordinates of eight levels each; see iq_nearest.hpp.
template <Simd V, class Traits>
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
  static F level(int l) { return V::splat(static_cast<float>(Traits::kLevels[l])); }

  template <class Entry>
  F point(const Entry* entry) const {
    const uint64_t low = u32_at(book.values + 4 * entry[0]), high = u32_at(book.values + 4 * entry[1]);
    const uint64_t values = low | high << 32;  // joined here: two narrow stores would stall the load
    uint8_t both[8];
    std::memcpy(both, &values, sizeof both);
    return V::to_f(V::load_u8(both));
  }

  F least_cost(F u) const {
    F least = V::splat(0x1p100f);
    for (int l = 0; l < 8; ++l) {
      const F d = level(l) - u;
      least = V::min(least, d * d);
    }
    return least;
  }

  Costs costs(F u, F price) const {
    F c[8], least = V::splat(0x1p100f);
    for (int l = 0; l < 8; ++l) {
      const F d = level(l) - u;
      c[l] = d * d;
      least = V::min(least, c[l]);
    }
    for (F& cost_of_level : c) cost_of_level = V::min(price * (cost_of_level - least), V::splat(255.0f));
    return tables(c);
  }

  /// The same up to rounding errors, in fewer steps, `nearest_level` being about that; price (u^2 + level^2)
  /// must stay within int32.
  Costs quick_costs(F u, F price, F nearest_level) const {
    const F slope = -(price * (u + u));
    const F least = -(nearest_level * (price * nearest_level + slope));
    F c[8];
    for (int l = 0; l < 8; ++l) {
      const auto magnitude = static_cast<float>(Traits::kLevels[l]);
      c[l] = V::fma(V::splat(magnitude * magnitude), price, V::fma(V::splat(magnitude), slope, least));
    }
    return tables(c);
  }

  static Costs tables(const F (&c)[8]) {
    const auto q = [&](int l) { return V::to_i(c[l]); };
    const B order = V::load_twice(kByCoordinate);
    const B low = V::lookup(V::pack(q(0), q(1), q(2), q(3)), order);
    const B high = V::lookup(V::pack(q(4), q(5), q(6), q(7)), order);
    return {V::zip_low(low, high), V::zip_high(low, high)};
  }

  /// Costs of sixteen points for each quad; `a` holds levels 0 and 1, `b` levels 2 and 3.
  static B price(const Costs& costs, B a, B b) {
    return V::add_sat(both_levels(costs.first, a), both_levels(costs.second, b));
  }
  static B both_levels(B table, B codes) {
    return V::add_sat(V::lookup(table, V::low_nibbles(codes)), V::lookup(table, V::high_nibbles(codes)));
  }

  /// The best of sixteen neighbours of the rounded quads, up to the rounding of costs to bytes.
  template <class Entry>
  void quick(F u, F price_of, Entry* entry) const {
    const F reach = V::splat(static_cast<float>(2 * Traits::kLevels[7]));  // far enough for a guess
    u = V::max(V::min(u, reach), -reach);
    const F step = V::splat(Traits::kLevelStep);  // the last of iq3_xxs is a little off
    const F rounded = V::round((u - level(0)) * V::splat(1 / Traits::kLevelStep));
    const F nearest_level = V::min(V::max(rounded, V::zero()), V::splat(7.0f));
    constexpr float shift[8] = {1, 8, 64, 512, 4096, 32768, 262144, 2097152};
    const int32_t key = V::sum_i(V::to_i(nearest_level * V::load(shift)));
    const NearestEntries &near = book.nearest[key & 4095], &other = book.nearest[key >> 12];
    const B a = V::load_two(near.points.codes, other.points.codes);
    const B b = V::load_two(near.points.codes + 16, other.points.codes + 16);
    const B all = price(quick_costs(u, price_of, V::fma(nearest_level, step, level(0))), a, b);
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
    const B first[2] = {V::low_twice(table.first), V::high_twice(table.first)};
    for (int i = 0; i < book.shared.count; i += 16) {
      alignas(32) uint8_t shared_cost[32];
      const B shared = both_levels(table.second, V::load_twice(book.shared.high + i));
      V::store_bytes(shared_cost, shared);
      uint32_t open = V::bits_le(shared, limit);
      if (book.shared.count - i < 16) open &= ((1u << (book.shared.count - i)) - 1) * 0x10001u;
      for (; open; open &= open - 1) {
        const int which = __builtin_ctz(open), quad = which >> 4;
        const Alike& alike = book.shared.groups[i + (which & 15)];
        const B all =
            V::add_sat(V::splat_b(shared_cost[which]), both_levels(first[quad], V::load_twice(alike.low)));
        for (uint32_t close = V::bits_le(all, limit) & alike.present; close; close &= close - 1) {
          const int entry = alike.first + __builtin_ctz(close);
          const float c = cost_of(entry, at + 4 * quad, weight + 4 * quad, least + 4 * quad);
          if (!(c < best.cost[quad])) continue;
          best.cost[quad] = c;
          best.entry[quad] = entry;
        }
      }
    }
  }

  float cost_of(int entry, const float* u, const float* v, const float* least) const {
    float c[4];
    for (int j = 0; j < 4; ++j) {
      const float d = static_cast<float>(book.values[4 * entry + j]) - u[j];
      c[j] = v[j] * (d * d - least[j]);
    }
    return (c[0] + c[1]) + (c[2] + c[3]);
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
  using Pair = typename NearestQuads<V, Traits>::Pair;
  static constexpr int kSubWeights = 32;
  static constexpr int kLargestSubScale = 15;
  static constexpr float kFineStep = 1.0135f;
  static constexpr IqRange kRange{24, 0.6f, 1.054f};
  static constexpr int kPeakLevels = 3;
  static constexpr bool kTryAtLast = true;
  static constexpr int kAlternatives = 1, kSets = 1;
  static IqMultiples trials(bool hard) {
    return hard ? IqMultiples{kIq3HardTrials, 12} : IqMultiples{kIq3Trials, 5};
  }

  const IqBlock& block;
  NearestQuads<V, Traits> grid;
  alignas(32) float magnitude[kSuperBlock];  // negative (or -0) where the quick search flips the sign
  alignas(32) float priced[kSuperBlock];     // v in byte units of cost
  uint8_t sign[kSuperBlock / 8];

  explicit Iq3Form(const IqBlock& from) : block(from), grid{Traits::book()} {
    float reach = 0;  // what the lowest level comes to
    for (int g = 0; g < kSuperBlock / 8; ++g) {
      if (Traits::kParity && 8 * g % kSubWeights == 0)
        reach = 0.8f * Traits::kTypical * static_cast<float>(Traits::kLevels[0]) *
                typical_scale<V>(block, 8 * g, kSubWeights);
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

  void guess(int group, F per_t, int, uint16_t* entry) const {
    grid.quick(V::load(magnitude + 8 * group) * per_t, V::load(priced + 8 * group), entry);
  }
  F point(const uint16_t* entry) const { return grid.point(entry); }
  F target(int group) const { return V::load(magnitude + 8 * group); }
  void put(int group, const uint16_t* entry, int at, IqCodes& codes) const {
    codes.entry[2 * at] = entry[0];
    codes.entry[2 * at + 1] = entry[1];
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
    const F low = grid.level(0) + u;
    alignas(32) float extra[8];
    V::store(extra, v * (low * low - grid.least_cost(u)));
    const Pair right = pair;
    int best_flip = -1;
    float best = 0x1p100f;
    for (uint32_t left = 255; left;) {
      int k = __builtin_ctz(left);
      for (uint32_t rest = left; rest; rest &= rest - 1)
        if (extra[__builtin_ctz(rest)] < extra[k]) k = __builtin_ctz(rest);
      left ^= 1u << k;
      const int quad = k / 4;
      const float without = extra[k] + right.cost[1 - quad];
      if (!(without < best)) continue;
      const F flipped_u = V::select(lane(k), -u, u);
      Pair flipped = right;
      flipped.cost[1 - quad] = 0;
      if (best_flip < 0) {
        grid.quick(flipped_u, price, flipped.entry);
        grid.cost(flipped_u, v, flipped);
      } else {
        flipped.cost[quad] = best - without;
        flipped.entry[quad] = -1;
      }
      grid.improve(flipped_u, v, flipped);
      if (flipped.entry[quad] < 0) continue;
      best = without + flipped.cost[quad];
      best_flip = k;
      pair = right;
      pair.entry[quad] = flipped.entry[quad];
    }
    return best_flip < 0 ? 0 : best_flip;  // every price overflowed: any will do
  }
};

struct Iq3XxsTraits {
  using Block = BlockIq3Xxs;
  static constexpr bool kParity = true;
  static constexpr float kUnit = 0.25f, kTypical = 1.0f / 22, kByteRange = 100, kLevelStep = 8;
  static Book<uint8_t> book() { return search_iq3_xxs(); }
  static constexpr const auto& kLevels = kIq3XxsLevels;

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

  static void load(const Block& in, IqScales& scales, IqCodes* codes) {
    scales.bits = in.d;
    for (int b = 0; b < 8; ++b) {
      const uint32_t word = u32_at(in.gas + 4 * b);
      scales.s[b] = static_cast<uint8_t>(word >> 28);
      for (int q = 0; q < 8; ++q) codes[b].entry[q] = in.qs[8 * b + q];
      for (int l = 0; l < 4; ++l) codes[b].sign[l] = sign_byte(word >> 7 * l);
    }
  }
};

struct Iq3STraits {
  using Block = BlockIq3S;
  static constexpr bool kParity = false;
  static constexpr float kUnit = 1, kTypical = 1.0f / 6.5f, kByteRange = 6, kLevelStep = 2;
  static Book<uint8_t> book() { return search_iq3_s(); }
  static constexpr const auto& kLevels = kIq3SLevels;

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

  static void load(const Block& in, IqScales& scales, IqCodes* codes) {
    scales.bits = in.d;
    for (int b = 0; b < 8; ++b) {
      scales.s[b] = in.scales[b / 2] >> 4 * (b % 2) & 15;
      for (int q = 0; q < 8; ++q)
        codes[b].entry[q] = static_cast<uint16_t>(in.qs[8 * b + q] | (in.qh[b] >> q & 1) << 8);
      for (int l = 0; l < 4; ++l) codes[b].sign[l] = in.signs[4 * b + l];
    }
  }
};

template <Simd V>
constexpr CodecRow kIq3Codecs[] = {
    iq_codec<V, Iq3Form<V, Iq3XxsTraits>>(FormatId::iq3_xxs),
    iq_codec<V, Iq3Form<V, Iq3STraits>>(FormatId::iq3_s),
};

}  // namespace snug
