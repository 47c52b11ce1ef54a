#pragma once

#include <string>

#include "measure/chunk_runner.hpp"

namespace snug {

/// Where calibration text comes from.
struct CalibrationSource {
  std::string text;  // a file of UTF-8 text
};

/// The tokens to run `model` on. Throws Error where the file cannot be read or is no text, or where the model
/// has no tokenizer.
Calibration calibration_tokens(const CalibrationSource& source, const infer::Model& model);

}  // namespace snug
