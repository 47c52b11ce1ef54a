#pragma once

#include <filesystem>
#include <optional>

#include "fit/calibration_run.hpp"
#include "imatrix/importance.hpp"
#include "imatrix/second_moment.hpp"

namespace snug {

/// Whether errors of a row are to make up for each other (error feedback, as in GPTQ): automatic where it takes
/// less than 16 hours of one core and proves better.
enum class Feedback { automatic, on, off };

/// Files of column statistics, empty where there are none.
struct InputFiles {
  std::filesystem::path imatrix, moments;  // moments: second moments; empty: those of the imatrix
};

/// Logs what does not match; throws Error where it cannot be used. Nothing without an imatrix, which is logged.
std::optional<Importance> load_importance(const InputFiles& files, const ModelSource& model);

/// Nothing where neither file has any. Throws Error where a file named for them has none.
std::optional<SecondMoments> load_moments(const InputFiles& files);

/// Fills in what was not named and can be collected from the model's own run over the calibration text: an
/// imatrix, and second moments for error feedback; kept in `folder` under the digest of what they are made
/// from. Logs what it collected and what it left out.
InputFiles collect_missing_inputs(const InputFiles& given, const std::filesystem::path& folder, Feedback feedback,
                                  const CalibrationRun& run);

}  // namespace snug
