#pragma once

#include <optional>
#include <vector>

#include "fit/calibration_run.hpp"
#include "fit/decision.hpp"
#include "fit/evidence_request.hpp"
#include "fit/inputs.hpp"
#include "measure/measure.hpp"
#include "snug/model.hpp"
#include "snug/profile.hpp"
#include "snug/state.hpp"

namespace snug {

/// What is known of a model before a plan is made, and what that needs to be used.
struct Evidence {
  Store state;
  ModelSource model;                // to plan and to write, and of which all this is: folded where that was asked for
  std::vector<RecipeFold> folds{};  // that made it
  InputFiles files;                 // with what was collected
  LoadedInputs inputs{};            // what tensors are encoded with
  Decision decision{};
  std::optional<CalibrationRun> run{};
  Profile profile{};
  MeasureReport measured{};
  ProbeResults probes{};

  const Importance* columns() const { return inputs.columns(); }
  const Hessians* second_moments() const { return inputs.moments ? &*inputs.moments : nullptr; }
  /// Whether recipes are run against the original, on text that nothing was learnt from.
  bool judges() const { return decision.choices.judges && run && run->holdout_chunks > 0; }
};

/// Opens, collects, measures and probes, taking from the state what is known and keeping there what is new. The
/// same call after any interruption goes on where it was. Throws Error of Fault::unreachable_budget, and where
/// a strict request would leave something out, before anything is measured.
Evidence gather(const ModelSource& source, const EvidenceRequest& request);

}  // namespace snug
