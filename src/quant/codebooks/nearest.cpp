#include "quant/codebooks/nearest.hpp"

namespace snug {
namespace {

/// What differs between codebooks of eight three-level and of four eight-level coordinates.
template <int dimensions>
struct Shape;

template <>
struct Shape<8> {
  static constexpr int kBits = 2, kLevels = 3, kKeys = kThreeLevelKeys;
  static uint8_t low(uint32_t code) { return static_cast<uint8_t>(code); }
  static uint8_t high(uint32_t code) { return static_cast<uint8_t>(code >> 8); }
};

template <>
struct Shape<4> {
  static constexpr int kBits = 3, kLevels = 8, kKeys = kEightLevelKeys;
  static uint8_t low(uint32_t code) { return static_cast<uint8_t>((code & 7) | (8 + (code >> 3 & 7)) << 4); }
  static uint8_t high(uint32_t code) { return low(code >> 6); }
};

template <class Value, int entries, int dimensions>
struct Tables {
  using S = Shape<dimensions>;
  static constexpr int kHalf = dimensions / 2;
  static constexpr int kHalfKeys = dimensions == 8 ? 81 : 64;

  Sixteen all[entries / 16];
  NearestEntries nearest[S::kKeys];
  int shared = 0;
  alignas(32) uint8_t high[128] = {};
  Alike groups[128] = {};

  Tables(const uint16_t (&codes)[entries], const Value* levels) {
    for (int e = 0; e < entries; ++e) set(all[e / 16], e % 16, codes[e]);
    group(codes);
    int apart[kHalfKeys][kHalfKeys];  // squared distance of two half vectors
    for (int a = 0; a < kHalfKeys; ++a)
      for (int b = 0; b < kHalfKeys; ++b) apart[a][b] = distance(a, b, levels);
    int low_key[entries], high_key[entries];
    for (int e = 0; e < entries; ++e) {
      low_key[e] = half_key(codes[e]);
      high_key[e] = half_key(codes[e] >> S::kBits * kHalf);
    }
    for (int key = 0; key < S::kKeys; ++key) {
      const int *to_low = apart[key % kHalfKeys], *to_high = apart[key / kHalfKeys];
      fill(nearest[key], codes, [&](int e) { return to_low[low_key[e]] + to_high[high_key[e]]; });
    }
  }

  void group(const uint16_t (&codes)[entries]) {
    constexpr int kRoom = dimensions == 8 ? 32 : 16;
    for (int e = 0, in_group = kRoom; e < entries; ++e) {
      if (in_group == kRoom || S::high(codes[e]) != high[shared - 1]) {
        high[shared] = S::high(codes[e]);
        groups[shared++].first = static_cast<uint16_t>(e);
        in_group = 0;
      }
      groups[shared - 1].low[in_group] = S::low(codes[e]);
      groups[shared - 1].present |= 1u << in_group++;
    }
  }

  static void set(Sixteen& points, int at, uint32_t code) {
    points.codes[at] = S::low(code);
    points.codes[16 + at] = S::high(code);
  }

  static int half_key(uint32_t code) {
    int key = 0;
    for (int j = kHalf - 1; j >= 0; --j)
      key = key * S::kLevels + static_cast<int>(code >> S::kBits * j & ((1 << S::kBits) - 1));
    return key;
  }

  static int distance(int a, int b, const Value* levels) {
    int sum = 0;
    for (int j = 0; j < kHalf; ++j, a /= S::kLevels, b /= S::kLevels) {
      const int difference = levels[a % S::kLevels] - levels[b % S::kLevels];
      sum += difference * difference;
    }
    return sum;
  }

  template <class Distance>
  static void fill(NearestEntries& out, const uint16_t (&codes)[entries], Distance distance_to) {
    int best[16], found = 0;
    for (int e = 0; e < entries; ++e) {
      const int d = distance_to(e);
      if (found == 16 && d >= best[15]) continue;
      int at = found < 16 ? found++ : 15;
      for (; at > 0 && d < best[at - 1]; --at) {
        best[at] = best[at - 1];
        out.entry[at] = out.entry[at - 1];
      }
      best[at] = d;
      out.entry[at] = static_cast<uint16_t>(e);
    }
    for (int k = 0; k < 16; ++k) set(out.points, k, codes[out.entry[k]]);
  }
};

template <class Value, int entries, int dimensions>
Book<Value> book(const Tables<Value, entries, dimensions>& tables,
                 const Grid<Value, entries, dimensions>& grid) {
  return {entries, grid.at[0], tables.all, tables.nearest, {tables.shared, tables.high, tables.groups}};
}

}  // namespace

Book<int8_t> search_iq1() noexcept {
  static const Tables<int8_t, 2048, 8> tables(kIq1Codes, kIq1Levels);
  return book(tables, kIq1Grid);
}

Book<uint8_t> search_iq2_xxs() noexcept {
  static const Tables<uint8_t, 256, 8> tables(kIq2XxsCodes, kIq2Levels);
  return book(tables, kIq2XxsGrid);
}

Book<uint8_t> search_iq2_xs() noexcept {
  static const Tables<uint8_t, 512, 8> tables(kIq2XsCodes, kIq2Levels);
  return book(tables, kIq2XsGrid);
}

Book<uint8_t> search_iq2_s() noexcept {
  static const Tables<uint8_t, 1024, 8> tables(kIq2SCodes, kIq2Levels);
  return book(tables, kIq2SGrid);
}

Book<uint8_t> search_iq3_xxs() noexcept {
  static const Tables<uint8_t, 256, 4> tables(kIq3XxsCodes, kIq3XxsLevels);
  return book(tables, kIq3XxsGrid);
}

Book<uint8_t> search_iq3_s() noexcept {
  static const Tables<uint8_t, 512, 4> tables(kIq3SCodes, kIq3SLevels);
  return book(tables, kIq3SGrid);
}

}  // namespace snug
