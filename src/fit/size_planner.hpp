#pragma once

#include <optional>

#include "artifact/quantize_model.hpp"
#include "fit/evidence.hpp"
#include "fit/refine_plan.hpp"
#include "measure/recipe_evaluator.hpp"
#include "snug/evidence_options.hpp"
#include "snug/plan_options.hpp"

namespace snug {

/// Plans sizes of one model, one after the other, each judged by being run where the evidence allows it: what was
/// run and encoded for one size serves the next.
class SizePlanner {
 public:
  /// Both outlive it.
  SizePlanner(Evidence& evidence, const EvidenceOptions& options);
  SizePlanner(const SizePlanner&) = delete;
  SizePlanner& operator=(const SizePlanner&) = delete;

  /// What was judged is put among the notes of the evidence's state.
  RefinedPlan plan(const PlanOptions& options);

  /// What is still encoded of the plan made last.
  KnownBlocks known_blocks();

 private:
  RefinedPlan planned(const PlanOptions& options) const;
  RefinedPlan judged(PlanOptions options);
  Solver solver() const;

  Evidence& evidence_;
  const EvidenceOptions& options_;
  std::optional<RecipeEvaluator> judge_;
};

}  // namespace snug
