#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "plan/planned_model.hpp"
#include "plan/selection.hpp"
#include "plan/solver.hpp"
#include "snug/model.hpp"
#include "imatrix/importance.hpp"
#include "snug/plan_options.hpp"
#include "snug/profile.hpp"
#include "snug/recipe.hpp"
#include "snug/solve.hpp"

namespace snug {

struct Plan {
  Recipe recipe;
  /// As the solver saw it for the bound; its budget covers the quantized tensors alone. Where the recipe's own headers
  /// take more than the least there are, the picks have to do with less than that budget.
  Problem problem;
  Solution solution;
};

/// Turns losses into recipes: profile and budget to problem, solution to recipe. The profile outlives it.
class Planner {
 public:
  Planner(const Profile& profile, PlannedModel model, const PlanOptions& options);
  Planner(const SavedProfile& saved, const PlanOptions& options) : Planner(saved.profile, planned_model(saved), options) {}
  Planner(const Profile& profile, const ModelSource& model, const Importance* importance, const PlanOptions& options)
      : Planner(profile, planned_model(model, importance, options.runtime), options) {}

  /// Has its problems solved by somebody else than solve_anew().
  Planner& solved_by(Solver solver) {
    solver_ = std::move(solver);
    return *this;
  }

  /// Throws as plan() does if the budget is out of reach. Needs no losses: an unmeasured profile will do.
  void check_reachable() const;

  /// The best recipe within the budget. Throws Error of Fault::unreachable_budget that names the reachable range and
  /// what blocks it.
  Plan plan() const;

  /// Loss against size for every budget. bytes are those of the whole output (of tensors, for a bpw budget).
  struct CurvePoint {
    int64_t file_bytes, tensor_bytes, loss;
    double bpw;
    bool on_hull;
    std::vector<std::pair<std::string, FormatId>> changes;  // against the point before
  };
  std::vector<CurvePoint> curve(int64_t exact_points) const;

  /// What the solver is asked: an item a tensor or group, within what the budget leaves for them.
  Problem problem() const;

  /// The recipe of a pick of that problem, without a bound.
  Recipe recipe_of(const std::vector<uint16_t>& pick) const;

 private:
  Constraints make_constraints() const;
  int64_t budget_for_choices(int64_t held_back) const;
  int64_t counted_bytes(FormatId format, int64_t data_bytes) const;
  int64_t active_bytes_of(const ProfiledTensor& tensor, int64_t bytes) const;
  void check_files() const;
  [[noreturn]] void refuse(ReachableBytes range) const;
  [[noreturn]] void refuse_unfound(const Solution& solution) const;
  std::vector<size_t> candidates_picked(const std::vector<uint16_t>& pick) const;
  bool may_be_bare() const;
  Planner bare() const;  // without notes
  Plan solve_as_asked() const;
  void certify(Recipe& recipe, const Solution& solution) const;

  const Profile& profile_;
  PlannedModel model_;
  PlanOptions options_;
  Selection selection_;
  Solver solver_ = solve_anew;
  int64_t header_bytes_ = 0, copied_bytes_ = 0, allowed_bytes_ = 0;  // as the budget counts them
};

}  // namespace snug
