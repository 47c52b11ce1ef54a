#include "snug/fit.hpp"

#include <utility>

#include "artifact/quantize_model.hpp"
#include "base/atomic_file.hpp"
#include "base/events.hpp"
#include "base/str.hpp"
#include "base/units.hpp"
#include "fit/evidence.hpp"
#include "fit/refine_plan.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

/// Where what is made on the way is kept.
std::filesystem::path work_folder(const FitRequest& request) {
  return request.output.empty() ? "." : folder_of(request.output);
}

std::filesystem::path state_of(const FitRequest& request) {
  return request.state.empty() ? default_state(request.model, work_folder(request)) : request.state;
}

/// What can be refused before hours of work is refused now.
void check_outputs(const FitRequest& request) {
  const std::filesystem::path out = request.dry_run ? "" : request.output;
  guard_for(request.existing, request.model, request.inputs, request.calibration.text, out, request.plan.split_bytes)
      .writes(request.recipe)
      .keeps(state_of(request))
      .check();
  if (request.dry_run) return;
  if (request.output.empty()) throw Error{"no output named", "", "name one, or ask for the plan alone", Fault::usage};
  std::error_code unknown;
  const auto space = std::filesystem::space(folder_of(request.output), unknown);
  const Budget& budget = request.plan.budget;
  if (!unknown && budget.counts_whole_files() && static_cast<int64_t>(space.available) < budget.bytes(0))
    log_line(str("the disk of the output has ", show_size(static_cast<int64_t>(space.available)),
                 " free, the budget is ", show_size(budget.bytes(0))));
}

EvidenceRequest evidence_request(const FitRequest& request) {
  return {.state = state_of(request),
          .inputs = request.inputs,
          .measuring = request.measuring,
          .calibration = request.calibration,
          .plan = request.plan,
          .collect_into = work_folder(request),
          .feedback = request.feedback};
}

bool can_judge(const Evidence& evidence) {
  return evidence.run && evidence.run->holdout_chunks > 0;
}

RefinedPlan plan_and_judge(const FitRequest& request, const ModelSource& model, Evidence& evidence) {
  const CalibrationRun& run = *evidence.run;
  RecipeEvaluator judge{*run.model,     evidence.columns(), request.measuring.effort,
                        evidence.state, run.text.tokens,    run.judging()};
  RefineOptions loop;
  loop.holdout_first = run.probing.chunks;
  loop.moments = evidence.second_moments();
  return refine_plan(evidence.profile, model, evidence.columns(), request.plan, judge, loop);
}

RefinedPlan plan_unjudged(const FitRequest& request, const ModelSource& model, const Evidence& evidence) {
  RefinedPlan result;
  result.plan = Planner{evidence.profile, model, evidence.columns(), request.plan}.plan();
  result.plan.recipe.effort = request.measuring.effort;
  result.plan.recipe.error_feedback = evidence.moments.has_value();
  return result;
}

RefinedPlan plan_for(const FitRequest& request, const ModelSource& model, Evidence& evidence) {
  RefinedPlan result = can_judge(evidence) ? plan_and_judge(request, model, evidence)
                                                    : plan_unjudged(request, model, evidence);
  result.plan.recipe.runtime = request.measuring.runtime;
  save_judgements(evidence.state, result);
  return result;
}

WrittenModel write_and_verify(const FitRequest& request, const ModelSource& model, const Evidence& evidence,
                              const Recipe& recipe) {
  const Hessians* moments = recipe.error_feedback ? evidence.second_moments() : nullptr;
  WrittenModel written =
      quantize_model(model, evidence.columns(), recipe, request.output, request.existing, moments);
  verify_written(model, evidence.columns(), recipe, written, moments);
  return written;
}

ProbeSummary summary_of(const ProbeResults& probes) {
  return {static_cast<int64_t>(probes.tensors.size()), probes.measured, probes.reused, probes.seconds,
          probes.forward_passes};
}

}  // namespace

std::filesystem::path default_state(const std::filesystem::path& model, const std::filesystem::path& folder) {
  return folder / model.stem().concat(".snug-state");
}

FitResult fit(const FitRequest& request, Events& events) {
  const EventScope scope{events};
  check_outputs(request);
  const ModelSource model = open_model(request.model);
  Evidence evidence = gather(model, evidence_request(request));
  RefinedPlan loop = plan_for(request, model, evidence);
  FitResult result{.recipe = std::move(loop.plan.recipe),
                   .judged = std::move(loop.judged),
                   .holdout_tokens = loop.holdout_tokens,
                   .profile = std::move(evidence.profile),
                   .measured = std::move(evidence.measured),
                   .probes = summary_of(evidence.probes)};
  if (!request.recipe.empty()) write_file(request.recipe, to_json(result.recipe), request.existing);
  if (!request.dry_run) result.written = write_and_verify(request, model, evidence, result.recipe);
  if (result.recipe.error_feedback)
    result.moments = evidence.inputs.moments.empty() ? evidence.inputs.imatrix : evidence.inputs.moments;
  return result;
}

}  // namespace snug
