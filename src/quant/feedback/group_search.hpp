#pragma once

#include <cstdint>
#include <vector>

#include "quant/feedback/block_codes.hpp"
#include "quant/codebooks/nearest.hpp"
#include "quant/kernels/kernels.hpp"

namespace snug {

constexpr int kGroup = 8;  // weights of a codebook format that are coded together

/// What eight weights are coded as: one entry of eight values or two of four, and a sign byte (iq1_m: bit 0
/// turns the shift around).
struct GroupCodes {
  uint16_t entry[2] = {0, 0};
  uint8_t negative = 0;

  bool operator==(const GroupCodes&) const = default;
};

/// y = a s v + shift, as BlockCodes says.
struct GroupScale {
  float a = 0, shift = 0;
};

/// What the values y of a group cost: y^T s y + 2 y^T b.
struct GroupCost {
  float s[kGroup][kGroup];  // symmetric, positive definite
  float b[kGroup];
};

/// Looks for the cheapest point of a codebook under a full quadratic form: among the neighbours of where the
/// eight weights would like to be and of where they are, and flipping signs. Stateless; any thread.
class GroupSearch {
 public:
  explicit GroupSearch(const BlockCodes& codes);

  void values(const GroupCodes& codes, const GroupScale& scale, float* y) const;
  /// The best found, never worse than `start`; `near` [8] is about where the optimum is.
  GroupCodes choose(const GroupCost& cost, const GroupScale& scale, const GroupCodes& start,
                    const float* near) const;

 private:
  struct Priced {
    GroupCodes codes;
    float cost;
  };
  struct Form;  // the cost as one of magnitudes, for given signs

  void magnitudes(const GroupCodes& codes, float* m) const;
  float offset(const GroupCodes& codes, const GroupScale& scale) const;
  Form form_for(const GroupCost& cost, const GroupScale& scale, const GroupCodes& codes) const;
  uint8_t signs_of(const GroupCost& cost, const GroupScale& scale, const float* near) const;
  Priced improve(const GroupCost& cost, const GroupScale& scale, GroupCodes codes, const float* near) const;
  float choose_entries(const GroupCost& cost, const GroupScale& scale, GroupCodes& codes,
                       const float* near) const;
  template <int d>
  float choose_entry(const Form& form, const float* near, GroupCodes& codes, int part) const;
  template <int d>
  int key_of(const float* magnitudes) const;
  float flip(const GroupCost& cost, const GroupScale& scale, GroupCodes& codes) const;

  const BlockCodes& codes_;
  const bool is_signed_;  // entries are: iq1
  const PricePoints price_points_;
  const NearestEntries* nearest_;
  float thresholds_[7];         // between levels
  std::vector<float> points_;   // [entries][dimensions]
  std::vector<uint16_t> keys_;  // of each entry
};

}  // namespace snug
