#include "snug/fit.hpp"

#include <algorithm>
#include <optional>
#include <span>
#include <sstream>
#include <tuple>
#include <utility>

#include "base/events.hpp"
#include "base/memory.hpp"
#include "base/str.hpp"
#include "fit/evidence.hpp"
#include "fit/outputs/fit_outputs.hpp"
#include "fit/progress/forecast.hpp"
#include "fit/progress/job_progress.hpp"
#include "fit/measurements.hpp"
#include "fit/refine_plan.hpp"
#include "fit/run_time.hpp"
#include "fit/solution_store.hpp"
#include "fit/progress/stage_clock.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

namespace fs = std::filesystem;

FitRequest request_of(FitRequest request, const FitStep& step) {
  request.plan.budget = step.budget;
  request.output = step.output;
  request.recipe = step.recipe;
  request.plan.runtime = request.measuring.runtime;
  return request;
}

bool can_judge(const Evidence& evidence) {
  return evidence.choices.judges && evidence.run && evidence.run->holdout_chunks > 0;
}

RefinedPlan plan_unjudged(const FitRequest& request, const ModelSource& model, Evidence& evidence) {
  RefinedPlan result;
  result.plan = Planner{evidence.profile, evidence.weights(model), evidence.columns(), request.plan}
                    .solved_by(remembering_solver(evidence.state, request.decide_anew))
                    .plan();
  result.plan.recipe.folds.assign(evidence.folds().begin(), evidence.folds().end());
  result.plan.recipe.effort = request.measuring.effort;
  result.plan.recipe.error_feedback = evidence.moments.has_value();
  return result;
}

void log_lines(const std::string& text) {
  std::istringstream lines{text};
  for (std::string line; std::getline(lines, line);) log_line(line);
}

ProbeSummary summary_of(const ProbeResults& probes) {
  return {static_cast<int64_t>(probes.tensors.size()), probes.measured, probes.reused, probes.seconds,
          probes.forward_passes};
}

/// Several sizes of one model: evidence, text and the original's own run are the same for all.
class Ladder {
 public:
  Ladder(const FitRequest& request, std::span<const FitStep> steps)
      : request_(request), model_(open_model(request.model)) {
    for (const FitStep& step : steps) requests_.push_back(request_of(request, step));
    state_ = request.state.empty() ? measurements_of(model_, work_folder()) : request.state;
    outputs_.emplace(model_, requests_, state_);
  }

  Forecast estimate() const {
    std::optional<Store> state;
    if (fs::exists(state_)) state = Store::open(state_, Access::read);
    return forecast(request_, model_, state ? &*state : nullptr, requests_.size());
  }

  const fs::path& state() const { return state_; }

  JobStatus status() const {
    JobStatus status = own_status();
    status.model = request_.model.string();
    status.output = requests_.front().output.string();
    status.sizes = std::ssize(requests_);
    return status;
  }

  /// For the next start, which is to know what is behind it. A state that cannot take it is no reason to say so.
  void keep_times_of_stopped(const StageClock& clock) const noexcept try {
    if (!fs::exists(state_) || clock.finished().empty()) return;
    Events nobody;  // who stopped the work would stop this, too
    const EventScope scope{nobody};
    Store state = Store::open(state_, Access::write);
    keep_times(state, clock.finished());
  } catch (...) {
  }

  std::vector<FitResult> run(const StageClock& clock, JobProgress& job) {
    Evidence evidence = gather(model_, evidence_request());
    std::optional<RecipeEvaluator> judge;
    std::vector<FitResult> results;
    for (size_t i = 0; i < requests_.size(); ++i) {
      job.begin_size(static_cast<int64_t>(i) + 1, requests_[i].output.string());
      if (requests_.size() > 1)
        log_line(str("size ", i + 1, " of ", requests_.size(), ": ", requests_[i].output.string()));
      results.push_back(fit_step(i, evidence, judge));
    }
    keep_times(evidence.state, clock.times());
    if (!stays_in_memory(model_.bytes())) tell_reads(clock, results);
    return results;
  }

 private:
  void tell_reads(const StageClock& clock, std::vector<FitResult>& results) const {
    int64_t bytes = 0;
    for (const Tensor& tensor : model_.tensors()) bytes += tensor.bytes();
    for (FitResult& result : results) {
      result.reads = clock.reads();
      result.model_bytes = bytes;
    }
  }

  /// Where earlier versions kept what is made on the way.
  fs::path work_folder() const {
    const fs::path& out = requests_.front().output;  // a folder may be named with a slash behind it
    return out.empty() ? "." : folder_of(out.has_filename() ? out : out.parent_path());
  }

  EvidenceRequest evidence_request() const {
    EvidenceRequest wanted{.state = state_,
                           .inputs = request_.inputs,
                           .measuring = request_.measuring,
                           .calibration = request_.calibration,
                           .collect_into = folder_of(state_),
                           .collected_before = work_folder(),
                           .feedback = request_.feedback,
                           .fold = request_.fold,
                           .strict = request_.strict,
                           .decide_anew = request_.decide_anew};
    for (const FitRequest& step : requests_) wanted.plans.push_back(step.plan);
    return wanted;
  }

  RefinedPlan plan_and_judge(const FitRequest& step, Evidence& evidence, std::optional<RecipeEvaluator>& judge) const {
    const CalibrationRun& run = *evidence.run;
    if (!judge)
      judge.emplace(*run.model, evidence.columns(), step.measuring.effort, evidence.state, run.text.tokens, run.judging());
    judge->set_moments(nullptr);  // those of the size before
    RefineOptions loop;
    loop.holdout_first = run.probing.chunks;
    loop.folds = evidence.folds();
    loop.solver = remembering_solver(evidence.state, step.decide_anew);
    loop.moments = evidence.second_moments();
    if (!corrects(model_, request_.calibration, moments_width(evidence.choices, evidence.moments.has_value())))
      loop.rounds = 0;
    PlanOptions options = step.plan;
    options.judged_on = run.text_name;
    return refine_plan(evidence.profile, evidence.weights(model_), evidence.columns(), options, *judge, loop);
  }

  RefinedPlan plan_for(const FitRequest& step, Evidence& evidence, std::optional<RecipeEvaluator>& judge) const {
    RefinedPlan result = can_judge(evidence) ? plan_and_judge(step, evidence, judge)
                                                   : plan_unjudged(step, model_, evidence);
    result.plan.recipe.left_out = evidence.left_out;
    save_judgements(evidence.state, result);
    return result;
  }

  FitResult fit_step(size_t i, Evidence& evidence, std::optional<RecipeEvaluator>& judge) {
    const FitRequest& step = requests_[i];
    RefinedPlan loop = plan_for(step, evidence, judge);
    FitResult result{.recipe = std::move(loop.plan.recipe),
                     .judged = std::move(loop.judged),
                     .holdout_tokens = loop.holdout_tokens,
                     .profile = evidence.profile,
                     .measured = evidence.measured,
                     .probes = summary_of(evidence.probes),
                     .state = state_};
    outputs_->write_recipe(i, result.recipe, evidence.state);
    const auto known = [&judge](const Tensor& tensor, const Format& format) {
      return judge ? judge->blocks_of(tensor.name, format.id) : std::span<const std::byte>{};
    };
    if (!step.dry_run) std::tie(result.written, result.was_known) = outputs_->write(i, evidence, result.recipe, known);
    if (result.recipe.error_feedback)
      result.moments = evidence.inputs.moments.empty() ? evidence.inputs.imatrix : evidence.inputs.moments;
    return result;
  }

  const FitRequest& request_;
  const ModelSource model_;
  fs::path state_;
  std::vector<FitRequest> requests_;
  std::optional<FitOutputs> outputs_;
};

}  // namespace

fs::path default_state(const fs::path& model, const fs::path& folder) {
  return folder / model.stem().concat(".snug-state");
}

std::vector<FitResult> fit_ladder(const FitRequest& request, std::span<const FitStep> steps, Events& events) {
  const EventScope checks{events};
  Ladder ladder{request, steps};
  const Forecast expected = ladder.estimate();
  log_lines(to_text(expected));
  JobProgress job{events, expected, ladder.state(), ladder.status()};
  StageClock clock{job};
  const EventScope work{clock};
  try {
    std::vector<FitResult> results = ladder.run(clock, job);
    job.finish();
    return results;
  } catch (const Error& error) {
    job.stop(error.problem());
    ladder.keep_times_of_stopped(clock);
    throw;
  }
}

std::string fit_estimate(const FitRequest& request, std::span<const FitStep> steps, Events& events) {
  const EventScope scope{events};
  return to_text(Ladder{request, steps}.estimate());
}

FitResult fit(const FitRequest& request, Events& events) {
  const FitStep step{request.plan.budget, request.output, request.recipe};
  return std::move(fit_ladder(request, {&step, 1}, events).front());
}

}  // namespace snug
