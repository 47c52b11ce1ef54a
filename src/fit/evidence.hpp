#pragma once

#include <filesystem>
#include <optional>
#include <vector>

#include "fit/calibration_run.hpp"
#include "fit/folding.hpp"
#include "fit/inputs.hpp"
#include "fit/machine_choices.hpp"
#include "measure/measure.hpp"
#include "plan/plan.hpp"

namespace snug {

/// What is to be known of a model before a plan is made.
struct EvidenceRequest {
  std::filesystem::path state;  // where measurements are kept
  InputFiles inputs;
  MeasureOptions measuring;
  CalibrationRequest calibration;
  std::vector<PlanOptions> plans{};  // refused at the start where a budget cannot be reached
  /// Where files that nobody named are collected to; empty: what is missing stays missing, and nothing is judged.
  std::filesystem::path collect_into{};
  std::filesystem::path collected_before{};  // where earlier versions kept them; empty: nowhere
  Feedback feedback = Feedback::off;
  bool fold = false;         // the model first, for formats of the plans' sizes
  bool strict = false;       // an error where something would be left out
  bool decide_anew = false;  // whatever an earlier start chose
};

/// What is known then. `importance` and `moments` are what tensors are encoded with.
struct Evidence {
  Store state;
  InputFiles inputs;  // with what was collected
  std::optional<Importance> importance{};
  std::optional<Hessians> moments{};
  ChoiceRequest asked{};
  MachineChoices choices{};  // made for that
  std::vector<LeftOut> left_out{};
  std::optional<CalibrationRun> run{};
  Profile profile{};
  MeasureReport measured{};
  ProbeResults probes{};
  std::optional<FoldedModel> folded{};  // what everything above is of, where folds were asked for

  /// The model to plan and to write.
  const ModelSource& weights(const ModelSource& model) const { return folded ? folded->model : model; }
  std::span<const RecipeFold> folds() const {
    if (!folded) return {};
    return folded->folds;
  }
  const Importance* columns() const { return importance ? &*importance : nullptr; }
  const Hessians* second_moments() const { return moments ? &*moments : nullptr; }
};

/// Opens, collects, measures and probes, taking from the state what is known and keeping there what is new. The
/// same call after any interruption goes on where it was. Throws Error of Fault::unreachable_budget, and where
/// a strict request would leave something out, before anything is measured.
Evidence gather(const ModelSource& model, const EvidenceRequest& request);

}  // namespace snug
