#include "snug/budget.hpp"

#include <cmath>

#include "base/str.hpp"
#include "base/units.hpp"
#include "snug/error.hpp"

namespace snug {

Budget Budget::of_tensors(double bits_per_weight) {
  if (!(bits_per_weight > 0 && bits_per_weight <= 64))
    throw Error{str(bits_per_weight, " bits per weight is no budget"), "the budget", "e.g. 4.25", Fault::usage};
  return {BudgetKind::tensors, 0, bits_per_weight};
}

int64_t Budget::bytes(int64_t weights) const {
  if (kind_ == BudgetKind::file) return file_bytes_;
  return static_cast<int64_t>(std::floor(bits_ * static_cast<double>(weights) / 8));
}

std::string Budget::show(int64_t bytes, int64_t weights) const {
  if (kind_ == BudgetKind::file) return str(show_size(bytes), " = ", bytes, " bytes");
  return str(8.0 * static_cast<double>(bytes) / static_cast<double>(weights), " bits per weight");
}

}  // namespace snug
