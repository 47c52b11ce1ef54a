#include "fit/size_planner.hpp"

#include "fit/solution_store.hpp"
#include "plan/plan.hpp"

namespace snug {

SizePlanner::SizePlanner(Evidence& evidence, const EvidenceOptions& options)
    : evidence_(evidence), options_(options) {
  if (!evidence.judges()) return;
  const CalibrationRun& run = *evidence.run;
  judge_.emplace(*run.model, evidence.columns(), options.measuring.effort, evidence.state, run.text.tokens,
                 run.judging());
}

RefinedPlan SizePlanner::plan(const PlanOptions& options) {
  RefinedPlan result = judge_ ? judged(options) : planned(options);
  result.plan.recipe.left_out = evidence_.decision.left_out;
  return result;
}

KnownBlocks SizePlanner::known_blocks() {
  return [this](const Tensor& tensor, const Format& format) {
    return judge_ ? judge_->blocks_of(tensor.name, format.id) : std::span<const std::byte>{};
  };
}

RefinedPlan SizePlanner::planned(const PlanOptions& options) const {
  RefinedPlan result;
  Planner planner{evidence_.profile, evidence_.model, evidence_.columns(), options};
  result.plan = planner.solved_by(solver()).plan();
  result.plan.recipe.folds = evidence_.folds;
  result.plan.recipe.effort = options_.measuring.effort;
  result.plan.recipe.error_feedback = evidence_.second_moments() != nullptr;
  return result;
}

RefinedPlan SizePlanner::judged(PlanOptions options) {
  judge_->set_moments(nullptr);  // those of the size before
  RefineOptions loop;
  loop.holdout_first = evidence_.run->probing.chunks;
  loop.folds = evidence_.folds;
  loop.solver = solver();
  loop.moments = evidence_.second_moments();
  if (!evidence_.decision.corrects) loop.rounds = 0;
  options.judged_on = evidence_.run->text_name;
  RefinedPlan result =
      refine_plan(evidence_.profile, evidence_.model, evidence_.columns(), options, *judge_, loop);
  save_judgements(evidence_.state, result);
  return result;
}

Solver SizePlanner::solver() const {
  return remembering_solver(evidence_.state, options_.decide_anew);
}

}  // namespace snug
