#include "fit/fit.hpp"

#include <utility>

#include "base/events.hpp"
#include "base/memory.hpp"
#include "base/str.hpp"
#include "base/units.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

/// What can be refused before hours of work is refused now.
void check_outputs(const FitRequest& request) {
  for (const auto& out : {request.output, request.recipe})
    check_no_input(out, {request.model, request.inputs.imatrix, request.inputs.moments, request.calibration.text});
  if (request.dry_run) return;
  if (request.output.empty()) throw Error{"no output named", "", "name one, or ask for the plan alone", Fault::usage};
  AtomicFile{request.output, request.existing};  // proves that the folder can be written
  std::error_code unknown;
  const auto space = std::filesystem::space(folder_of(request.output), unknown);
  if (!unknown && request.plan.size_bytes && static_cast<int64_t>(space.available) < *request.plan.size_bytes)
    log_line(str("the disk of the output has ", show_size(static_cast<int64_t>(space.available)),
                 " free, the budget is ", show_size(*request.plan.size_bytes)));
}

EvidenceRequest evidence_request(const FitRequest& request) {
  const std::filesystem::path folder = request.output.empty() ? "." : folder_of(request.output);
  return {.state = request.state.empty() ? default_state(request.model, folder) : request.state,
          .inputs = request.inputs,
          .measuring = request.measuring,
          .calibration = request.calibration,
          .plan = request.plan,
          .collect_into = folder,
          .feedback = request.feedback};
}

/// Bytes the output may take, as far as that is known before planning.
int64_t budget_bytes(const PlanOptions& options, const Profile& profile) {
  if (options.size_bytes) return *options.size_bytes;
  double weights = 0;
  for (const ProfiledTensor& t : profile.tensors)
    weights += static_cast<double>(t.cols) * static_cast<double>(t.rows);
  return static_cast<int64_t>(weights * *options.bpw / 8);
}

bool can_judge(const FitRequest& request, const Evidence& evidence) {
  if (!evidence.run || evidence.run->held_chunks == 0) return false;
  if (budget_bytes(request.plan, evidence.profile) <= memory_for(MemoryUse::all)) return true;
  log_line("the output would not fit into the memory that is free: it is not run against the original");
  return false;
}

LoopResult plan_and_judge(const FitRequest& request, const ModelSource& model, Evidence& evidence) {
  const CalibrationRun& run = *evidence.run;
  RecipeJudge judge{*run.model, evidence.columns(), request.measuring.effort, evidence.state, run.text.tokens,
                    run.judging()};
  LoopOptions loop;
  loop.held_first = run.probing.chunks;
  loop.moments = evidence.second_moments();
  return close_loop(evidence.profile, model, evidence.columns(), request.plan, judge, loop);
}

LoopResult plan_unjudged(const FitRequest& request, const ModelSource& model, const Evidence& evidence) {
  LoopResult result;
  result.plan = Planner{evidence.profile, model, evidence.columns(), request.plan}.plan();
  result.plan.recipe.effort = request.measuring.effort;
  result.plan.recipe.error_feedback = evidence.moments.has_value();
  return result;
}

LoopResult plan_for(const FitRequest& request, const ModelSource& model, Evidence& evidence) {
  LoopResult result = can_judge(request, evidence) ? plan_and_judge(request, model, evidence)
                                                   : plan_unjudged(request, model, evidence);
  result.plan.recipe.runtime = request.measuring.runtime;
  save_judgements(evidence.state, result);
  return result;
}

WrittenModel write_and_verify(const FitRequest& request, const ModelSource& model, const Evidence& evidence,
                              const Recipe& recipe) {
  const SecondMoments* moments = recipe.error_feedback ? evidence.second_moments() : nullptr;
  WrittenModel written =
      quantize_model(model, evidence.columns(), recipe, request.output, request.existing, moments);
  verify_written(model, evidence.columns(), recipe, written, moments);
  return written;
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
  FitResult result{.plan = plan_for(request, model, evidence)};
  const Recipe& recipe = result.plan.plan.recipe;
  if (!request.recipe.empty()) write_file(request.recipe, to_json(recipe), request.existing);
  if (!request.dry_run) result.written = write_and_verify(request, model, evidence, recipe);
  if (recipe.error_feedback)
    result.moments = evidence.inputs.moments.empty() ? evidence.inputs.imatrix : evidence.inputs.moments;
  result.profile = std::move(evidence.profile);
  result.measured = std::move(evidence.measured);
  result.probes = std::move(evidence.probes);
  return result;
}

}  // namespace snug
