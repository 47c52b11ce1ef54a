#include "quant/feedback/group_search.hpp"

#include <cstring>

#include "quant/codebooks/codebooks.hpp"

namespace snug {
namespace {

using Signs = BlockCodes::Signs;

constexpr uint8_t kIq1Values[3] = {0, 1, 2};

struct Levels {
  const uint8_t* at;
  int count;
};

Levels levels_of(FormatId format) {
  switch (format) {
    case FormatId::iq3_xxs:
      return {kIq3XxsLevels, 8};
    case FormatId::iq3_s:
      return {kIq3SLevels, 8};
    case FormatId::iq1_s:
    case FormatId::iq1_m:
      return {kIq1Values, 3};
    default:
      return {kIq2Levels, 3};
  }
}

const NearestEntries* neighbours_of(FormatId format) {
  switch (format) {
    case FormatId::iq2_xxs:
      return search_iq2_xxs().nearest;
    case FormatId::iq2_xs:
      return search_iq2_xs().nearest;
    case FormatId::iq2_s:
      return search_iq2_s().nearest;
    case FormatId::iq3_xxs:
      return search_iq3_xxs().nearest;
    case FormatId::iq3_s:
      return search_iq3_s().nearest;
    default:
      return search_iq1().nearest;
  }
}

/// Sum of eight numbers in one order.
float sum8(const float* x) {
  return ((x[0] + x[4]) + (x[2] + x[6])) + ((x[1] + x[5]) + (x[3] + x[7]));
}

/// S y
void times(const GroupCost& cost, const float* y, float* out) {
  for (int k = 0; k < kGroup; ++k) out[k] = cost.s[0][k] * y[0];
  for (int j = 1; j < kGroup; ++j)
    for (int k = 0; k < kGroup; ++k) out[k] += cost.s[j][k] * y[j];
}

float price(const GroupCost& cost, const float* y) {
  float out[kGroup];
  times(cost, y, out);
  for (int k = 0; k < kGroup; ++k) out[k] = y[k] * (out[k] + 2 * cost.b[k]);
  return sum8(out);
}

}  // namespace

/// m^T q m + 2 m^T l over magnitudes m.
struct GroupSearch::Form {
  float q[kGroup][kGroup], l[kGroup];

  /// Of one part of `d` magnitudes, the rest of `m` as it is.
  template <int d>
  void part(int from, const float* m, float (&own)[d][d], float (&linear)[d]) const {
    for (int k = 0; k < d; ++k) {
      float sum = l[from + k];
      for (int j = 0; j < kGroup; ++j)
        if (j < from || j >= from + d) sum += q[from + k][j] * m[j];
      linear[k] = 2 * sum;
      for (int j = 0; j < d; ++j) own[j][k] = q[from + j][from + k];
    }
  }
};

GroupSearch::GroupSearch(const BlockCodes& codes)
    : codes_(codes),
      is_signed_(codes.signs == Signs::none || codes.signs == Signs::shift),
      price_points_(codes.dimensions == 8 ? kernels().price_points8 : kernels().price_points4),
      nearest_(neighbours_of(codes.format)) {
  const Levels levels = levels_of(codes.format);
  for (int l = 0; l + 1 < levels.count; ++l)
    thresholds_[l] = 0.5f * static_cast<float>(levels.at[l] + levels.at[l + 1]);
  for (int i = 0; i < codes.entries * codes.dimensions; ++i) points_.push_back(codes.values[i]);
  for (int e = 0; e < codes.entries; ++e) {
    const float* point = points_.data() + e * codes.dimensions;
    keys_.push_back(static_cast<uint16_t>(codes.dimensions == 8 ? key_of<8>(point) : key_of<4>(point)));
  }
}

/// Of all eight weights.
void GroupSearch::magnitudes(const GroupCodes& codes, float* m) const {
  if (codes_.dimensions == 8) {
    std::memcpy(m, points_.data() + codes.entry[0] * 8, 8 * sizeof(float));
  } else {
    std::memcpy(m, points_.data() + codes.entry[0] * 4, 4 * sizeof(float));
    std::memcpy(m + 4, points_.data() + codes.entry[1] * 4, 4 * sizeof(float));
  }
}

/// What is added to a s v where the values are magnitudes 0, 1, 2 that stand for -1, 0, 1.
float GroupSearch::offset(const GroupCodes& codes, const GroupScale& scale) const {
  if (!is_signed_) return 0;
  return (codes_.signs == Signs::shift && (codes.negative & 1) ? -scale.shift : scale.shift) - scale.a;
}

void GroupSearch::values(const GroupCodes& codes, const GroupScale& scale, float* y) const {
  const float added = offset(codes, scale);
  float m[kGroup];
  magnitudes(codes, m);
  for (int k = 0; k < kGroup; ++k) {
    if (is_signed_)
      y[k] = scale.a * m[k] + added;
    else
      y[k] = codes.negative >> k & 1 ? -scale.a * m[k] : scale.a * m[k];
  }
}

template <int d>
int GroupSearch::key_of(const float* magnitudes) const {
  constexpr int levels = d == 8 ? 3 : 8;
  int key = 0;
  for (int k = d - 1; k >= 0; --k) {
    int level = 0;
    for (int l = 0; l < levels - 1; ++l) level += magnitudes[k] > thresholds_[l];
    key = key * levels + level;
  }
  return key;
}

GroupSearch::Form GroupSearch::form_for(const GroupCost& cost, const GroupScale& scale,
                                        const GroupCodes& codes) const {
  Form form;
  float factor[kGroup];
  const float added = offset(codes, scale);
  for (int k = 0; k < kGroup; ++k) factor[k] = !is_signed_ && (codes.negative >> k & 1) ? -scale.a : scale.a;
  for (int k = 0; k < kGroup; ++k) {
    float linear = cost.b[k];
    if (is_signed_) linear += added * sum8(cost.s[k]);
    form.l[k] = factor[k] * linear;
    for (int j = 0; j < kGroup; ++j) form.q[k][j] = factor[k] * factor[j] * cost.s[k][j];
  }
  return form;
}

/// The best entry of one part among the neighbours of `near` (magnitudes) and of the present entry.
template <int d>
float GroupSearch::choose_entry(const Form& form, const float* near, GroupCodes& codes, int part) const {
  float m[kGroup];
  magnitudes(codes, m);
  float own[d][d], linear[d];
  form.part<d>(part * d, m, own, linear);
  const uint16_t present = codes.entry[part];
  const uint16_t* const lists[2] = {nearest_[key_of<d>(near + part * d)].entry,
                                    nearest_[keys_[present]].entry};
  float least = 3e38f;
  uint16_t best = present;
  for (int list = 0; list < (lists[0] == lists[1] ? 1 : 2); ++list) {
    float prices[kPricedPoints];
    price_points_(own[0], linear, points_.data(), lists[list], prices);
    for (int c = 0; c < kPricedPoints; ++c)
      if (prices[c] < least) {
        least = prices[c];
        best = lists[list][c];
      }
  }
  codes.entry[part] = best;
  return least;
}

float GroupSearch::choose_entries(const GroupCost& cost, const GroupScale& scale, GroupCodes& codes,
                                  const float* near) const {
  const Form form = form_for(cost, scale, codes);
  const float added = offset(codes, scale);
  float magnitudes[kGroup];
  for (int k = 0; k < kGroup; ++k) {
    const float factor = !is_signed_ && (codes.negative >> k & 1) ? -scale.a : scale.a;
    magnitudes[k] = (near[k] - added) / factor;
  }
  if (codes_.dimensions == 8) {
    choose_entry<8>(form, magnitudes, codes, 0);
  } else {
    for (int turn = 0; turn < 2; ++turn) {
      const uint16_t before = codes.entry[0];
      choose_entry<4>(form, magnitudes, codes, 0);
      if (turn && codes.entry[0] == before) break;
      choose_entry<4>(form, magnitudes, codes, 1);
    }
  }
  float y[kGroup];
  values(codes, scale, y);
  return price(cost, y);
}

/// Flips signs, two at a time where their number must stay even, while that pays. True if any flipped.
float GroupSearch::flip(const GroupCost& cost, const GroupScale& scale, GroupCodes& codes) const {
  float y[kGroup];
  values(codes, scale, y);
  float saved = 0;
  for (int round = 0; round < kGroup; ++round) {
    float slope[kGroup], one[kGroup], least = 0;
    times(cost, y, slope);
    for (int k = 0; k < kGroup; ++k) one[k] = 4 * y[k] * (cost.s[k][k] * y[k] - slope[k] - cost.b[k]);
    int best = 0;
    for (int k = 0; k < kGroup; ++k) {
      if (codes_.signs == Signs::bytes && one[k] < least) {
        least = one[k];
        best = 1 << k;
      }
      for (int j = 0; j < k; ++j) {
        const float two = one[k] + one[j] + 8 * cost.s[k][j] * y[k] * y[j];
        if (two < least) {
          least = two;
          best = 1 << k | 1 << j;
        }
      }
    }
    if (!best) break;
    saved += least;
    for (int k = 0; k < kGroup; ++k)
      if (best >> k & 1) y[k] = -y[k];
    codes.negative = static_cast<uint8_t>(codes.negative ^ best);
  }
  return saved;
}

/// Entries and signs in turn from given signs.
GroupSearch::Priced GroupSearch::improve(const GroupCost& cost, const GroupScale& scale, GroupCodes codes,
                                         const float* near) const {
  float found = choose_entries(cost, scale, codes, near);
  if (is_signed_) return {codes, found};
  for (int round = 0; round < 2; ++round) {
    const float saved = flip(cost, scale, codes);
    if (!(saved < 0)) break;
    found = choose_entries(cost, scale, codes, near);
  }
  return {codes, found};
}

/// Signs of `near`, their number made even where it must be, by the weight that minds least.
uint8_t GroupSearch::signs_of(const GroupCost& cost, const GroupScale& scale, const float* near) const {
  uint32_t negative = 0;
  for (int k = 0; k < kGroup; ++k) negative |= (near[k] * scale.a < 0 ? 1u : 0u) << k;
  if (codes_.signs == Signs::even && (__builtin_popcount(negative) & 1)) {
    int weakest = 0;
    for (int k = 1; k < kGroup; ++k)
      if (near[k] * near[k] * cost.s[k][k] < near[weakest] * near[weakest] * cost.s[weakest][weakest])
        weakest = k;
    negative ^= 1u << weakest;
  }
  return static_cast<uint8_t>(negative);
}

GroupCodes GroupSearch::choose(const GroupCost& cost, const GroupScale& scale, const GroupCodes& start,
                               const float* near) const {
  if (scale.a == 0) return start;
  float y[kGroup];
  values(start, scale, y);
  Priced best{start, price(cost, y)};
  const auto try_signs = [&](uint8_t negative) {
    GroupCodes codes = start;
    codes.negative = negative;
    if (const Priced next = improve(cost, scale, codes, near); next.cost < best.cost) best = next;
  };
  try_signs(start.negative);
  if (codes_.signs == Signs::shift) try_signs(start.negative ^ 1);
  if (is_signed_) return best.codes;
  if (const uint8_t other = signs_of(cost, scale, near); other != start.negative) try_signs(other);
  return best.codes;
}

}  // namespace snug
