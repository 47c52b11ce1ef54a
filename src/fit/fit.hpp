#pragma once

#include <filesystem>
#include <optional>
#include <vector>

#include "artifact/quantize_model.hpp"
#include "base/atomic_file.hpp"
#include "fit/closed_loop.hpp"
#include "fit/evidence.hpp"
#include "snug/events.hpp"

namespace snug {

/// A model, a budget, and how hard to try.
struct FitRequest {
  std::filesystem::path model;
  std::filesystem::path output;
  bool dry_run = false;          // the plan alone, no model is written
  std::filesystem::path recipe;  // where the recipe is written too, as JSON; empty: nowhere
  std::filesystem::path state;   // where measurements are kept; empty: beside the output, under the model's name
  Existing existing = Existing::refuse;
  InputFiles inputs;
  PlanOptions plan;
  MeasureOptions measuring;
  CalibrationRequest calibration;
  Feedback feedback = Feedback::automatic;
};

struct FitResult {
  LoopResult plan;  // the recipe, and what was judged on the way to it
  Profile profile;
  MeasureReport measured;
  ProbeResults probes;
  std::filesystem::path moments;       // second moments that error feedback used; empty without
  std::optional<WrittenModel> written;
};

/// Fits a model into a size: measures, plans, judges the plan against the original, writes the model and checks
/// what was written. Stopped at any instant, the same call goes on where it was. Reports to `events`.
/// Throws Error: of Fault::unreachable_budget before anything is measured, of Fault::interrupted once cancelled.
FitResult fit(const FitRequest& request, Events& events);

/// The state of a request, where it names none.
std::filesystem::path default_state(const std::filesystem::path& model, const std::filesystem::path& folder);

}  // namespace snug
