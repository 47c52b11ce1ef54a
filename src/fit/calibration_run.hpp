#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "calibrate/calibration.hpp"
#include "imatrix/importance.hpp"
#include "infer/model.hpp"
#include "measure/probe.hpp"
#include "snug/evidence_options.hpp"
#include "snug/profile.hpp"
#include "snug/state.hpp"

namespace snug {

/// The model ready to be run, and the text it is run on.
struct CalibrationRun {
  std::unique_ptr<infer::Model> model;
  CalibrationTokens text;
  std::string text_name;      // a file's without its folder, or that the model wrote it
  ProbeOptions probing;       // on the first chunks of the text
  int64_t holdout_chunks = 0;  // behind them, that nothing is learnt from
  Probing how = Probing::forward;

  ProbeOptions judging() const;  // on both
};

/// Whether its forward pass is known.
bool is_runnable(const ModelSource& source);

/// Whether a file is to be read, not what the model writes itself.
bool names_a_text(const CalibrationRequest& request);

/// A model that is_runnable(). What it writes itself is kept in `state`; it writes, too, where a text is named and its
/// tokenizer is not known.
CalibrationRun open_calibration(const ModelSource& source, const CalibrationRequest& request, Store& state);

/// Probes every tensor, or goes back through the model once, and puts the losses found into the profile; logs what
/// that took. Returns the forward probes.
ProbeResults apply_calibration(const CalibrationRun& run, Profile& profile, const Importance* importance, Store& state);

}  // namespace snug
