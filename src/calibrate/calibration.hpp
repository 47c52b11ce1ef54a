#pragma once

#include <string>

#include "calibrate/chunk_runner.hpp"
#include "calibrate/self_text.hpp"

namespace snug {

/// Where calibration text comes from.
struct CalibrationText {
  std::string text;        // a file of UTF-8 text, or one of the two below
  SelfTextOptions self{};  // how it does that
};
inline constexpr const char* kSelfText = "self";         // what the model writes itself
inline constexpr const char* kBuiltInText = "built-in";  // what comes with the program

/// The tokens to run `model` on. What the model writes is kept in `keep`, if given: see write_self_text().
/// Throws Error where the file cannot be read or is no text, or where a text needs a tokenizer that the model
/// does not have.
CalibrationTokens calibration_tokens(const CalibrationText& source, const infer::Model& model,
                               Store* keep = nullptr);

}  // namespace snug
