#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "calibrate/calibration.hpp"
#include "imatrix/importance.hpp"
#include "infer/model.hpp"
#include "measure/probe.hpp"
#include "snug/fit.hpp"
#include "snug/profile.hpp"
#include "snug/state.hpp"

namespace snug {

/// The model ready to be run, and the text it is run on.
struct CalibrationRun {
  std::unique_ptr<infer::Model> model;
  CalibrationTokens text;
  ProbeOptions probing;       // on the first chunks of the text
  int64_t holdout_chunks = 0;  // behind them, that nothing is learnt from
  Probing how = Probing::forward;

  ProbeOptions judging() const;  // on both
};

/// Nothing where no run is wanted, or the model cannot be run here; the latter is logged. What the model writes
/// itself is kept in `state`.
std::optional<CalibrationRun> open_calibration(const ModelSource& source, const CalibrationRequest& request,
                                               Store& state);

/// Probes every tensor, or goes back through the model once, and puts the losses found into the profile; logs what
/// that took. Returns the forward probes.
ProbeResults apply_calibration(const CalibrationRun& run, Profile& profile, const Importance* importance, Store& state);

}  // namespace snug
