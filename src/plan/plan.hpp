#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "artifact/artifact.hpp"
#include "plan/selection.hpp"
#include "snug/model.hpp"
#include "imatrix/importance.hpp"
#include "snug/profile.hpp"
#include "snug/recipe.hpp"
#include "snug/solve.hpp"

namespace snug {

struct PlanOptions {
  std::optional<int64_t> size_bytes;   // of the whole output; exactly one of the two
  std::optional<double> bpw;
  SelectionRules rules;
  std::vector<std::string> caps;       // REGEX=SIZE: the tensors it finds take no more together
  int max_formats = 0;                 // at most so many different formats; 0: any number
  std::optional<int64_t> active_bytes; // read per token: a used/experts share of expert tensors, one row of token_embd
  int64_t split_bytes = 0;
  double seconds = 60;                 // the solver's time
  bool notes = true;                   // keys of ours in the file, left out where their bytes buy enough

  /// The wishes beyond the budget that a recipe has to keep, by their options: "--max-formats 2, --pin".
  std::string limits() const;

  /// No wishes beyond the budget: any recipe of that size will do.
  bool is_plain() const;
};

struct Plan {
  Recipe recipe;
  Problem problem;                     // as the solver saw it; its budget covers the quantized tensors alone
  Solution solution;
};

/// Turns losses into recipes: profile and budget to problem, solution to recipe.
class Planner {
 public:
  Planner(const Profile& profile, const ModelSource& model, const Importance* importance, const PlanOptions& options);

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

 private:
  Problem make_problem() const;
  Constraints make_constraints() const;
  int64_t budget_for_choices(int64_t held_back) const;
  int64_t choice_bytes(FormatId format, int64_t data_bytes) const;
  int64_t active_bytes_of(const ProfiledTensor& tensor, int64_t bytes) const;
  [[noreturn]] void refuse(Range range) const;
  std::vector<size_t> candidates_picked(const std::vector<uint16_t>& pick) const;
  bool may_be_bare() const;
  Planner bare() const;  // without notes
  Plan solve_as_asked() const;
  Recipe make_recipe(const std::vector<uint16_t>& pick) const;
  void certify(Recipe& recipe, const Solution& solution) const;

  const Profile& profile_;
  const ModelSource& model_;
  const Importance* importance_;
  std::shared_ptr<const Artifact> artifact_;
  PlanOptions options_;
  Selection selection_;
  Recipe base_;                        // every tensor copied
  int64_t header_bytes_ = 0, fixed_bytes_ = 0, weights_ = 0;
};

}  // namespace snug
