#include "fit/outputs/fit_outputs.hpp"

#include <string>
#include <system_error>
#include <utility>

#include "artifact/artifact.hpp"
#include "base/events.hpp"
#include "base/files/atomic_file.hpp"
#include "base/files/read_file.hpp"
#include "base/str.hpp"
#include "base/units.hpp"
#include "fit/outputs/own_recipe.hpp"
#include "snug/error.hpp"

namespace snug {

namespace fs = std::filesystem;

FitOutputs::FitOutputs(const ModelSource& model, const FitRequest& request)
    : model_(model), request_(request), known_(request.sizes.size()) {
  for (const FitSize& size : request.sizes) existing_recipes_.push_back(existing_recipe(size));
  recall();
  check();
}

/// What is decided anew may come to other bytes than a file has that was finished before, though its size is the same.
void FitOutputs::recall() {
  if (request_.dry_run || !fs::exists(request_.state)) return;
  const Store state = Store::open(request_.state, Access::read);
  for (size_t i = 0; i < known_.size(); ++i) {
    const auto& [plan, output, recipe] = size_at(i);
    if (!is_output_in_place(output, plan.split_bytes, plan.runtime)) continue;
    KnownOutput known = known_output(state, request_digest(model_, plan, request_.evidence), output);
    if (known.is == OutputState::partly || !request_.evidence.decide_anew) known_[i] = std::move(known);
  }
}

bool FitOutputs::is_known(size_t size) const {
  return known_[size].is == OutputState::begun || known_[size].is == OutputState::finished;
}

/// What a stopped call has put in place of a split output is no model yet, and its own to replace.
Existing FitOutputs::existing_output(size_t size) const {
  return known_[size].is == OutputState::partly ? Existing::replace : request_.existing;
}

/// The recipe of this very fit, stopped before its model was there, may be written again.
Existing FitOutputs::existing_recipe(const FitSize& size) const {
  const bool is_ours = !request_.dry_run && is_unfinished_recipe(size.recipe, request_.state);
  return is_ours ? Existing::replace : request_.existing;
}

void FitOutputs::check() const {
  const EvidenceOptions& read = request_.evidence;
  OutputGuard guard = guard_for(request_.existing, request_.model, read.inputs, read.calibration.text);
  for (size_t i = 0; i < known_.size(); ++i) {
    const FitSize& size = size_at(i);
    if (!request_.dry_run && size.output.empty())
      throw Error{"no output named", "", "name one, or ask for the plan alone", Fault::usage};
    if (is_known(i)) continue;
    if (known_[i].is == OutputState::partly)
      for (const fs::path& part : known_[i].written.files) guard.writes(part, existing_output(i));
    else if (!request_.dry_run)
      guard_output(guard, size.output, size.plan.split_bytes, size.plan.runtime);
    guard.writes(size.recipe, existing_recipes_[i]);
  }
  guard.keeps(request_.state).check();
  tell_of_room();
}

void FitOutputs::tell_of_room() const {
  int64_t wanted = 0;
  for (size_t i = 0; i < known_.size(); ++i)
    if (const Budget& budget = size_at(i).plan.budget; !is_known(i) && budget.counts_whole_files())
      wanted += budget.bytes(0);
  if (request_.dry_run || wanted == 0) return;
  std::error_code unknown;
  const auto space = fs::space(folder_of(size_at(0).output), unknown);
  if (!unknown && static_cast<int64_t>(space.available) < wanted)
    log_line(str("the disk of the output has ", show_size(static_cast<int64_t>(space.available)), " free, ",
                 known_.size() > 1 ? "the budgets are " : "the budget is ", show_size(wanted)));
}

/// Noted first, for a start after this one was stopped.
void FitOutputs::write_recipe(size_t size, const std::string& text, Store& state) const {
  const fs::path& file = size_at(size).recipe;
  if (file.empty()) return;
  if (is_known(size) && fs::exists(file) && read_file(file) == text) return;
  if (!request_.dry_run) note_own_recipe(state, text, OwnRecipe::unfinished);
  write_file(file, text, existing_recipes_[size]);
}

/// True if the files that are there are those of the recipe.
bool FitOutputs::is_written(size_t size, const Evidence& evidence, const Recipe& recipe,
                            const QuantizeOptions& options) const {
  const KnownOutput& known = known_[size];
  if (!is_known(size) || known.written.bytes != recipe.file_bytes) return false;
  if (known.is == OutputState::finished) return true;
  try {
    verify_written(evidence.model, evidence.columns(), recipe, known.written, options);
    return true;
  } catch (const Error& error) {
    if (error.fault() == Fault::interrupted) throw;
    return false;
  }
}

WrittenModel FitOutputs::write_model(size_t size, const Evidence& evidence, const Recipe& recipe,
                                     const QuantizeOptions& options) const {
  const fs::path& output = size_at(size).output;
  WrittenModel written =
      quantize_model(evidence.model, evidence.columns(), recipe, output, existing_output(size), options);
  verify_written(evidence.model, evidence.columns(), recipe, written, options);
  return written;
}

FitOutputs::Output FitOutputs::write(size_t size, Evidence& evidence, const Recipe& recipe,
                                     const KnownBlocks& known) const {
  const std::string text = to_json(recipe);
  write_recipe(size, text, evidence.state);
  if (request_.dry_run) return {};
  const auto& [plan, output, recipe_file] = size_at(size);
  const Digest asked = request_digest(model_, plan, request_.evidence);
  const Hessians* moments = recipe.error_feedback ? evidence.second_moments() : nullptr;
  if (is_written(size, evidence, recipe, {.moments = moments})) {
    const KnownOutput& there = known_[size];
    if (there.is == OutputState::begun) keep_finished(evidence.state, asked, output, there.written);
    return {there.written, true};
  }
  keep_begun(evidence.state, asked, output,
             make_artifact(evidence.model, evidence.columns(), recipe.runtime)->files(recipe, output));
  WrittenModel written = write_model(size, evidence, recipe, {.moments = moments, .known = known});
  keep_finished(evidence.state, asked, output, written);
  if (!recipe_file.empty()) note_own_recipe(evidence.state, text, OwnRecipe::finished);
  return {std::move(written), false};
}

}  // namespace snug
