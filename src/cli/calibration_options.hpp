#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "calibrate/calibration.hpp"
#include "measure/probe.hpp"

namespace snug::cli {

/// A model that can be run, and the tokens to run it on.
struct Calibrated {
  std::unique_ptr<infer::Model> model;
  Calibration text;
  ProbeOptions probing;     // its chunks come first in the text
  int64_t held_chunks = 0;  // behind them, for judging
  bool reverse = false;     // by a reverse pass, and a few probes beside it

  ProbeOptions judging() const;  // all chunks
};

/// --calib, and how much of the text is used for what.
struct CalibrationArgs {
  std::string calib;
  bool no_probe = false;
  std::string probe = "forward";
  int64_t chunks = 24, context = 256;  // as many chunks again to judge by

  void add_to(CLI::App& command);
  /// Opens the model and its text. Nothing with --no-probe, where the model's forward pass is not known, or
  /// where no text was named and the model is larger than the memory left: it says so then.
  std::optional<Calibrated> open(const std::string& model_path, Store& state) const;
};

/// Probes the model, forward or by a reverse pass, or takes what `state` knows, replaces the alphas and losses of
/// `profile`, and says so. Returns the forward probes.
ProbeResults apply_calibration(const Calibrated& calibrated, Profile& profile, const Importance* importance,
                               Store& state);

}  // namespace snug::cli
