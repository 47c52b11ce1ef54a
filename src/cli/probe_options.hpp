#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>

#include "measure/probe.hpp"

namespace snug::cli {

/// --probe and how it is done.
struct ProbeArgs {
  std::string text;
  int64_t chunks = 24, context = 256;

  void add_to(CLI::App& command);
  /// Without --probe nothing happens. Otherwise probes the model, or takes what `state` knows, and replaces
  /// the alphas and losses of `profile`. Where the forward pass of the model is not known this says so and
  /// leaves the priors.
  std::optional<ProbeResults> apply(Profile& profile, const std::string& model_path,
                                    const Importance* importance, Store& state) const;
};

}  // namespace snug::cli
