#pragma once

#include <cstdint>
#include <string>

#include "snug/profile.hpp"
#include "snug/recipe.hpp"

namespace snug {

/// The most an output may take: bytes of all its files together, or bits per weight of its tensors, where neither
/// headers nor padding count.
class Budget {
 public:
  Budget() = default;  // none
  static Budget of_file(int64_t bytes) { return {BudgetKind::file, bytes, 0}; }
  /// Throws Error of Fault::usage unless it is more than 0 and at most 64.
  static Budget of_tensors(double bits_per_weight);

  BudgetKind kind() const { return kind_; }
  bool counts_whole_files() const { return kind_ == BudgetKind::file; }

  /// What it allows a model of so many weights, or the model of a profile.
  int64_t bytes(int64_t weights) const;
  int64_t bytes(const Profile& profile) const { return bytes(profile.weights()); }

  /// Bytes by which the recipe is over the budget; 0 or less where it keeps it.
  int64_t overrun(const Recipe& recipe) const { return recipe.counted_bytes(kind_) - bytes(recipe.weights); }

  /// "4.25 bits per weight", "11.00 GB = 11000000000 bytes": so many bytes as this budget is given.
  std::string show(int64_t bytes, int64_t weights) const;

 private:
  Budget(BudgetKind kind, int64_t file_bytes, double bits) : kind_(kind), file_bytes_(file_bytes), bits_(bits) {}

  BudgetKind kind_ = BudgetKind::none;
  int64_t file_bytes_ = 0;
  double bits_ = 0;
};

}  // namespace snug
