#include "fit/outputs/fit_outputs.hpp"

#include <string>
#include <system_error>

#include "artifact/artifact.hpp"
#include "base/events.hpp"
#include "base/files/atomic_file.hpp"
#include "base/files/read_file.hpp"
#include "base/str.hpp"
#include "base/units.hpp"
#include "fit/inputs.hpp"
#include "fit/outputs/own_recipe.hpp"
#include "snug/error.hpp"

namespace snug {

namespace fs = std::filesystem;

FitOutputs::FitOutputs(const ModelSource& model, std::span<const FitRequest> requests, fs::path state)
    : model_(model), requests_(requests), state_(std::move(state)), known_(requests.size()) {
  for (const FitRequest& request : requests) existing_recipes_.push_back(existing_recipe(request));
  recall();
  check();
}

void FitOutputs::recall() {
  if (requests_.front().dry_run || !fs::exists(state_)) return;
  const Store state = Store::open(state_, Access::read);
  for (size_t i = 0; i < requests_.size(); ++i)
    if (is_output_in_place(requests_[i].output, requests_[i].plan.split_bytes, requests_[i].plan.runtime))
      known_[i] = known_output(state, request_digest(requests_[i], model_), requests_[i].output);
}

bool FitOutputs::is_known(size_t size) const {
  return known_[size].is == OutputState::begun || known_[size].is == OutputState::finished;
}

/// What a stopped call has put in place of a split output is no model yet, and its own to replace.
Existing FitOutputs::existing_output(size_t size) const {
  return known_[size].is == OutputState::partly ? Existing::replace : requests_[size].existing;
}

/// The recipe of this very fit, stopped before its model was there, may be written again.
Existing FitOutputs::existing_recipe(const FitRequest& request) const {
  const bool is_ours = !request.dry_run && is_unfinished_recipe(request.recipe, state_);
  return is_ours ? Existing::replace : request.existing;
}

void FitOutputs::check() const {
  const FitRequest& any = requests_.front();
  OutputGuard guard = guard_for(any.existing, any.model, any.inputs, any.calibration.text);
  for (size_t i = 0; i < requests_.size(); ++i) {
    const FitRequest& request = requests_[i];
    if (!request.dry_run && request.output.empty())
      throw Error{"no output named", "", "name one, or ask for the plan alone", Fault::usage};
    if (is_known(i)) continue;
    if (known_[i].is == OutputState::partly)
      for (const fs::path& part : known_[i].written.files) guard.writes(part, existing_output(i));
    else if (!request.dry_run)
      guard_output(guard, request.output, request.plan.split_bytes, request.plan.runtime);
    guard.writes(request.recipe, existing_recipes_[i]);
  }
  guard.keeps(state_).check();
  tell_of_room();
}

void FitOutputs::tell_of_room() const {
  int64_t wanted = 0;
  for (size_t i = 0; i < requests_.size(); ++i)
    if (!is_known(i) && requests_[i].plan.budget.counts_whole_files()) wanted += requests_[i].plan.budget.bytes(0);
  if (requests_.front().dry_run || wanted == 0) return;
  std::error_code unknown;
  const auto space = fs::space(folder_of(requests_.front().output), unknown);
  if (!unknown && static_cast<int64_t>(space.available) < wanted)
    log_line(str("the disk of the output has ", show_size(static_cast<int64_t>(space.available)), " free, ",
                 requests_.size() > 1 ? "the budgets are " : "the budget is ", show_size(wanted)));
}

/// Noted first, for a start after this one was stopped.
void FitOutputs::write_recipe(size_t size, const Recipe& recipe, Store& state) const {
  const FitRequest& request = requests_[size];
  if (request.recipe.empty()) return;
  const std::string text = to_json(recipe);
  if (is_known(size) && fs::exists(request.recipe) && read_file(request.recipe) == text) return;
  if (!request.dry_run) note_own_recipe(state, text, OwnRecipe::unfinished);
  write_file(request.recipe, text, existing_recipes_[size]);
}

/// True if the files that are there are those of the recipe.
bool FitOutputs::is_written(size_t size, const Evidence& evidence, const Recipe& recipe, const Hessians* moments) const {
  const KnownOutput& known = known_[size];
  if (!is_known(size) || known.written.bytes != recipe.file_bytes) return false;
  if (known.is == OutputState::finished) return true;
  try {
    verify_written(evidence.weights(model_), evidence.columns(), recipe, known.written, {.moments = moments});
    return true;
  } catch (const Error& error) {
    if (error.fault() == Fault::interrupted) throw;
    return false;
  }
}

std::pair<WrittenModel, bool> FitOutputs::write(size_t size, Evidence& evidence, const Recipe& recipe,
                                                  const KnownBlocks& known) const {
  const FitRequest& request = requests_[size];
  const ModelSource& model = evidence.weights(model_);
  const Hessians* moments = recipe.error_feedback ? evidence.second_moments() : nullptr;
  const Digest asked = request_digest(request, model_);
  if (is_written(size, evidence, recipe, moments)) {
    const KnownOutput& there = known_[size];
    if (there.is == OutputState::begun) keep_finished(evidence.state, asked, request.output, there.written);
    return {there.written, true};
  }
  keep_begun(evidence.state, asked, request.output,
             make_artifact(model, evidence.columns(), recipe.runtime)->files(recipe, request.output));
  WrittenModel written = quantize_model(model, evidence.columns(), recipe, request.output, existing_output(size),
                                        {.moments = moments, .known = known});
  verify_written(model, evidence.columns(), recipe, written, {.moments = moments, .known = known});
  keep_finished(evidence.state, asked, request.output, written);
  if (!request.recipe.empty()) note_own_recipe(evidence.state, to_json(recipe), OwnRecipe::finished);
  return {std::move(written), false};
}

}  // namespace snug
