#include "snug/fit.hpp"

#include <algorithm>
#include <sstream>
#include <utility>

#include "artifact/artifact.hpp"
#include "artifact/quantize_model.hpp"
#include "base/events.hpp"
#include "base/files/atomic_file.hpp"
#include "base/files/read_file.hpp"
#include "base/memory.hpp"
#include "base/str.hpp"
#include "base/units.hpp"
#include "fit/evidence.hpp"
#include "fit/forecast.hpp"
#include "fit/job_progress.hpp"
#include "fit/measurements.hpp"
#include "fit/output_store.hpp"
#include "fit/own_recipe.hpp"
#include "fit/refine_plan.hpp"
#include "fit/run_time.hpp"
#include "fit/stage_clock.hpp"
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

RefinedPlan plan_unjudged(const FitRequest& request, const ModelSource& model, const Evidence& evidence) {
  RefinedPlan result;
  result.plan = Planner{evidence.profile, evidence.weights(model), evidence.columns(), request.plan}.plan();
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
    known_.resize(requests_.size());
    for (const FitRequest& step : requests_) recipe_existing_.push_back(existing_recipe(step));
    recall_outputs();
    check_outputs();
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

  /// Outputs of the same call before, finished or stopped on the way: they need not be made again.
  void recall_outputs() {
    if (request_.dry_run || !fs::exists(state_)) return;
    const Store state = Store::open(state_, Access::read);
    for (size_t i = 0; i < requests_.size(); ++i)
      if (is_output_in_place(requests_[i].output, requests_[i].plan.split_bytes, requests_[i].plan.runtime))
        known_[i] = known_output(state, request_digest(requests_[i], model_), requests_[i].output);
  }

  bool is_known(size_t i) const {
    return known_[i].is == OutputState::begun || known_[i].is == OutputState::finished;
  }

  /// What a stopped call has put in place of a split output is no model yet, and its own to replace.
  Existing existing_output(size_t i) const {
    return known_[i].is == OutputState::partly ? Existing::replace : requests_[i].existing;
  }

  /// The recipe of this very fit, stopped before its model was there, may be written again.
  Existing existing_recipe(const FitRequest& step) const {
    const bool is_ours = !step.dry_run && is_unfinished_recipe(step.recipe, state_);
    return is_ours ? Existing::replace : step.existing;
  }

  /// What can be refused before hours of work is refused now.
  void check_outputs() const {
    OutputGuard guard = guard_for(request_.existing, request_.model, request_.inputs, request_.calibration.text);
    for (size_t i = 0; i < requests_.size(); ++i) {
      const FitRequest& step = requests_[i];
      if (!step.dry_run && step.output.empty())
        throw Error{"no output named", "", "name one, or ask for the plan alone", Fault::usage};
      if (is_known(i)) continue;
      if (known_[i].is == OutputState::partly)
        for (const fs::path& part : known_[i].written.files) guard.writes(part, existing_output(i));
      else if (!step.dry_run)
        guard_output(guard, step.output, step.plan.split_bytes, step.plan.runtime);
      guard.writes(step.recipe, recipe_existing_[i]);
    }
    guard.keeps(state_).check();
    tell_of_room();
  }

  void tell_of_room() const {
    int64_t wanted = 0;
    for (size_t i = 0; i < requests_.size(); ++i)
      if (!is_known(i) && requests_[i].plan.budget.counts_whole_files()) wanted += requests_[i].plan.budget.bytes(0);
    if (request_.dry_run || wanted == 0) return;
    std::error_code unknown;
    const auto space = fs::space(folder_of(requests_.front().output), unknown);
    if (!unknown && static_cast<int64_t>(space.available) < wanted)
      log_line(str("the disk of the output has ", show_size(static_cast<int64_t>(space.available)), " free, ",
                   requests_.size() > 1 ? "the budgets are " : "the budget is ", show_size(wanted)));
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
    loop.moments = evidence.second_moments();
    if (!corrects(model_, request_.calibration)) {
      loop.rounds = 0;
      log_line("the losses of single tensors are not corrected: each would have to be put back in turn, for more than "
               "four hours of a core");
    }
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
    write_recipe(i, result.recipe, evidence.state);
    if (!step.dry_run) result.written = write(i, evidence, result.recipe, result.was_known);
    if (result.recipe.error_feedback)
      result.moments = evidence.inputs.moments.empty() ? evidence.inputs.imatrix : evidence.inputs.moments;
    return result;
  }

  /// Before the model: the recipe is what the work was for. Noted first, for a start after this one was stopped.
  void write_recipe(size_t i, const Recipe& recipe, Store& state) const {
    const FitRequest& step = requests_[i];
    if (step.recipe.empty()) return;
    const std::string text = to_json(recipe);
    if (is_known(i) && fs::exists(step.recipe) && read_file(step.recipe) == text) return;
    if (!step.dry_run) note_own_recipe(state, text, OwnRecipe::unfinished);
    write_file(step.recipe, text, recipe_existing_[i]);
  }

  /// True if the files that are there are those of the recipe.
  bool is_written(size_t i, const Evidence& evidence, const Recipe& recipe, const Hessians* moments) const {
    const KnownOutput& known = known_[i];
    if (!is_known(i) || known.written.bytes != recipe.file_bytes) return false;
    if (known.is == OutputState::finished) return true;
    try {
      verify_written(evidence.weights(model_), evidence.columns(), recipe, known.written, moments);
      return true;
    } catch (const Error& error) {
      if (error.fault() == Fault::interrupted) throw;
      return false;
    }
  }

  WrittenModel write(size_t i, Evidence& evidence, const Recipe& recipe, bool& was_known) const {
    const FitRequest& step = requests_[i];
    const Hessians* moments = recipe.error_feedback ? evidence.second_moments() : nullptr;
    const Digest asked = request_digest(step, model_);
    was_known = is_written(i, evidence, recipe, moments);
    if (was_known) {
      if (known_[i].is == OutputState::begun) keep_finished(evidence.state, asked, step.output, known_[i].written);
      return known_[i].written;
    }
    const ModelSource& model = evidence.weights(model_);
    keep_begun(evidence.state, asked, step.output,
               make_artifact(model, evidence.columns(), recipe.runtime)->files(recipe, step.output));
    WrittenModel written = quantize_model(model, evidence.columns(), recipe, step.output, existing_output(i), moments);
    verify_written(model, evidence.columns(), recipe, written, moments);
    keep_finished(evidence.state, asked, step.output, written);
    if (!step.recipe.empty()) note_own_recipe(evidence.state, to_json(recipe), OwnRecipe::finished);
    return written;
  }

  const FitRequest& request_;
  const ModelSource model_;
  fs::path state_;
  std::vector<FitRequest> requests_;
  std::vector<KnownOutput> known_;
  std::vector<Existing> recipe_existing_;  // of each size's recipe
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
