#pragma once

#include "quant/kernels/iq_block.hpp"
#include "quant/codebooks/nearest.hpp"

// The nearest point of a codebook of eight three-level coordinates (iq1, iq2) under weights.
//
// The cost of a point is a sum over coordinates, each one of three numbers. Relative to the best level of
// each coordinate and rounded to bytes, the costs of two coordinates make a table of sixteen; one byte
// shuffle then prices two coordinates of thirty-two points at once.

namespace snug {

/// Sums 3^j over the set bits j.
struct TernaryKeys {
  uint16_t at[256];
  constexpr TernaryKeys() : at() {
    for (int bits = 0; bits < 256; ++bits)
      for (int j = 0, power = 1; j < 8; ++j, power *= 3)
        if (bits >> j & 1) at[bits] = static_cast<uint16_t>(at[bits] + power);
  }
};

namespace {

constexpr TernaryKeys kTernaryKeys;

// Positions in a half of V::pack(level 0, level 1, level 2, 0), for tables indexed by level | other level
// << 2.
constexpr uint8_t kFirst[16] = {0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12};
constexpr uint8_t kSecond[16] = {1, 1, 1, 1, 5, 5, 5, 5, 9, 9, 9, 9, 13, 13, 13, 13};
constexpr uint8_t kThird[16] = {2, 6, 10, 14, 2, 6, 10, 14, 2, 6, 10, 14, 2, 6, 10, 14};
constexpr uint8_t kFourth[16] = {3, 3, 3, 3, 7, 7, 7, 7, 11, 11, 11, 11, 15, 15, 15, 15};

}  // namespace

struct IqFound {
  int entry;
  float cost;  // above that of the best level of every coordinate
};

template <Simd V, class Value>
struct Nearest8 {
  using F = typename V::f32;
  using B = typename V::bytes;

  struct Costs {
    B first, second;  // low half: coordinates 0 and 1 (2 and 3); high half: 4 and 5 (6 and 7)
  };

  Book<Value> book;
  F level[3];
  F offset;  // added to what the codebook holds

  Nearest8(const Book<Value>& b, float l0, float l1, float l2, float added)
      : book(b), level{V::splat(l0), V::splat(l1), V::splat(l2)}, offset(V::splat(added)) {}

  F point(int entry) const {
    if constexpr (sizeof(Value) == 1 && Value(-1) < 0)
      return V::to_f(V::load_i8(book.values + 8 * entry)) + offset;
    else
      return V::to_f(V::load_u8(book.values + 8 * entry));
  }

  /// `price` is the byte units in a squared difference of 1.
  Costs costs(F u, F price) const {
    F c[3];
    for (int l = 0; l < 3; ++l) c[l] = (level[l] - u) * (level[l] - u);
    const F least = V::min(V::min(c[0], c[1]), c[2]), most = V::splat(255.0f);
    for (F& cost_of_level : c) cost_of_level = V::min(price * (cost_of_level - least), most);
    return tables(c);
  }

  /// The same up to rounding errors, in fewer steps; price (u^2 + level^2) must stay within int32.
  Costs quick_costs(F u, F price) const {
    const F slope = -(price * (u + u));
    F c[3];
    for (int l = 0; l < 3; ++l) c[l] = V::fma(level[l], slope, level[l] * level[l] * price);
    const F least = V::min(V::min(c[0], c[1]), c[2]);
    for (F& cost_of_level : c) cost_of_level = cost_of_level - least;
    return tables(c);
  }

  static Costs tables(const F (&c)[3]) {
    const B packed = V::pack(V::to_i(c[0]), V::to_i(c[1]), V::to_i(c[2]), V::splat_i(0));
    const auto at = [&](const uint8_t* where) { return V::lookup(packed, V::load_twice(where)); };
    return {V::add_sat(at(kFirst), at(kSecond)), V::add_sat(at(kThird), at(kFourth))};
  }

  /// Beyond this a weight is as far out as it needs to be for a guess, and costs stay within int32.
  F within_reach(F u) const {
    const F reach = level[2] + level[2];
    return V::max(V::min(u, reach), -reach);
  }

  /// Costs of sixteen points, split in two: add the halves.
  static B price(const Costs& costs, B codes) {
    return V::add_sat(V::lookup(costs.first, V::low_nibbles(codes)),
                      V::lookup(costs.second, V::high_nibbles(codes)));
  }

  const NearestEntries& neighbours(F u) const {
    const auto middle = [&](int l) { return (level[l] + level[l + 1]) * V::splat(0.5f); };
    return book.nearest[kTernaryKeys.at[V::bits(V::lt(middle(0), u))] +
                        kTernaryKeys.at[V::bits(V::lt(middle(1), u))]];
  }

  /// The best of the sixteen neighbours of the rounded vector, up to the rounding of costs to bytes.
  int quick(F u, F price_of) const {
    u = within_reach(u);
    const NearestEntries& near = neighbours(u);
    const B both = price(quick_costs(u, price_of), V::load_bytes(near.points.codes));
    return near.entry[V::template least<0>(V::add_halves(both, both)) & 255];
  }

  /// The best of all, up to the rounding of costs to bytes.
  int scan(F u, F price_of) const {
    const Costs table = quick_costs(within_reach(u), price_of);
    B least = V::splat_b(255), where = V::splat_b(0);
    for (int i = 0; i < book.entries / 16; i += 2) {
      const B here = V::add_halves(price(table, V::load_bytes(book.all[i].codes)),
                                   price(table, V::load_bytes(book.all[i + 1].codes)));
      where = V::select_le(least, here, where, V::splat_b(static_cast<uint8_t>(i)));
      least = V::min(least, here);
    }
    const uint32_t one = V::template least<0>(least), other = V::template least<1>(least);
    const bool second = (other >> 8) < (one >> 8);
    const uint32_t lane = (second ? other : one) & 255;
    alignas(32) uint8_t blocks[32];
    V::store_bytes(blocks, where);
    return static_cast<int>((blocks[lane + (second ? 16 : 0)] + (second ? 1 : 0)) * 16 + lane);
  }

  float cost(F u, F v, int entry) const {
    const F d0 = level[0] - u, d1 = level[1] - u, d2 = level[2] - u, d = point(entry) - u;
    const F least = V::min(V::min(d0 * d0, d1 * d1), d2 * d2);
    return V::sum(v * (d * d - least));
  }

  /// The best of all points that cost less than `bound`; entry is -1 if there is none.
  ///
  /// Exact: eight costs rounded to the nearest byte unit are off by at most four units together, so only
  /// points within four units of the bound, set at 240, can cost less, and each of those is priced in full.
  /// Entries that share half their levels are passed over together where that half costs too much.
  IqFound within(F u, F v, float bound) const {
    IqFound best{-1, bound};
    const Costs table = costs(u, v * V::splat(240.0f / bound));
    const B limit = V::splat_b(244);
    const Costs low{V::low_twice(table.first), V::low_twice(table.second)};
    const Costs high{V::high_twice(table.first), V::high_twice(table.second)};
    for (int i = 0; i < book.shared.count; i += 32) {
      alignas(32) uint8_t shared_cost[32];
      const B shared = price(high, V::load_bytes(book.shared.high + i));
      V::store_bytes(shared_cost, shared);
      uint32_t open = V::bits_le(shared, limit);
      if (book.shared.count - i < 32) open &= (1u << (book.shared.count - i)) - 1;
      for (; open; open &= open - 1) {
        const int group = __builtin_ctz(open);
        const Alike& alike = book.shared.groups[i + group];
        const B all = V::add_sat(V::splat_b(shared_cost[group]), price(low, V::load_bytes(alike.low)));
        for (uint32_t close = V::bits_le(all, limit) & alike.present; close; close &= close - 1) {
          const int entry = alike.first + __builtin_ctz(close);
          if (const float c = cost(u, v, entry); c < best.cost) best = {entry, c};
        }
      }
    }
    return best;
  }

  /// The best of all points, from a first guess.
  IqFound improve(F u, F v, int guess) const {
    const IqFound best{guess, cost(u, v, guess)};
    if (!(best.cost > 0x1p-40f)) return best;
    const IqFound better = within(u, v, best.cost);
    return better.entry < 0 ? best : better;
  }

  /// The best of all points. `price_of` only guides the first guess.
  IqFound nearest(F u, F v, F price_of) const { return improve(u, v, quick(u, price_of)); }
};

}  // namespace snug
