#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "snug/evaluated_recipe.hpp"
#include "snug/events.hpp"
#include "snug/fit_request.hpp"
#include "snug/measure_options.hpp"
#include "snug/output.hpp"
#include "snug/profile.hpp"
#include "snug/recipe.hpp"

namespace snug {

/// What running the model with one tensor encoded at a time took.
struct ProbeSummary {
  int64_t tensors = 0, measured = 0, reused = 0;  // measured and reused: runs
  double seconds = 0, forward_passes = 0;         // in units of one pass over the text
};

struct FitResult {
  Recipe recipe;
  std::vector<EvaluatedRecipe> judged;  // in the order they were run; the last accepted one is the recipe
  int64_t holdout_tokens = 0;           // that nothing was learnt from: they were judged on
  Profile profile;
  MeasureReport measured;
  ProbeSummary probes;
  std::filesystem::path moments{};       // second moments that error feedback used; empty without
  std::optional<WrittenModel> written{};
  bool was_known = false;                // the files were there already, with the same bytes: nothing was written
  std::filesystem::path state{};         // where measurements are kept
  std::vector<StageRead> reads{};        // of this start, all sizes together
  int64_t model_bytes = 0;               // of the weights, that reads are told in
};

/// Fits a model into each size, in the order given, one result a size: measures, plans, judges the plan against the
/// original, writes the model and checks what was written. All outputs are checked before work begins, and what does
/// not depend on the size, measuring, calibration text, the original's own run, is done once. Stopped at any instant,
/// the same call goes on where it was. Reports to `events`. An output that the same call has written before is left
/// as it is, if its bytes are those that would be written. Throws Error: of Fault::usage where no size is named, of
/// Fault::unreachable_budget before anything is measured, of Fault::interrupted once cancelled.
std::vector<FitResult> fit(const FitRequest& request, Events& events);

/// What fit() would go through and take, in a few lines, which it says itself before it begins: stages, what is
/// known already, time, memory, disk. Opens the model, measures nothing.
std::string fit_estimate(const FitRequest& request, Events& events);

}  // namespace snug
