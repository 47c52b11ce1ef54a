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
#include "snug/profile.hpp"
#include "snug/state.hpp"

namespace snug {

/// How the model is run to see what each tensor does to its output.
struct CalibrationRequest {
  bool run = true;       // false: weigh tensors by role and position
  std::string text;      // a file; kSelfText or empty: what the model writes itself
  int64_t chunks = 24;   // of the text to measure on, at most; as many again are held out to judge by
  int64_t context = 256; // tokens of a chunk
};

/// The model ready to be run, and the text it is run on.
struct CalibrationRun {
  std::unique_ptr<infer::Model> model;
  Calibration text;
  ProbeOptions probing;       // on the first chunks of the text
  int64_t held_chunks = 0;    // behind them, that nothing is learnt from

  ProbeOptions judging() const;  // on both
};

/// Nothing where no run is wanted, or the model cannot be run here; the latter is logged. What the model writes
/// itself is kept in `state`.
std::optional<CalibrationRun> open_calibration(const ModelSource& source, const CalibrationRequest& request,
                                               Store& state);

/// Probes every tensor and puts the alphas found into the profile; logs what that took.
ProbeResults apply_calibration(const CalibrationRun& run, Profile& profile, const Importance* importance, Store& state);

}  // namespace snug
