#pragma once

#include <filesystem>
#include <string>

#include "cli/calibration_options.hpp"
#include "cli/options/options.hpp"
#include "snug/model.hpp"

namespace snug::cli {

/// Where files that nobody named are kept, and whether second moments are wanted: "auto", "on", "off".
struct OwnSources {
  std::filesystem::path folder;
  std::string feedback;
};

/// Fills in what was not named and can be collected from the model's own run over the calibration text: an
/// imatrix, and second moments for error feedback. Says what it collected and what it left out.
ModelArgs with_own_sources(const ModelArgs& given, const OwnSources& own, const ModelSource& model,
                           const Calibrated& calibrated);

}  // namespace snug::cli
