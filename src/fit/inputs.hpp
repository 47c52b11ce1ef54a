#pragma once

#include <filesystem>
#include <optional>

#include "base/files/output_guard.hpp"
#include "fit/calibration_run.hpp"
#include "fit/evidence_request.hpp"
#include "imatrix/hessian.hpp"
#include "imatrix/importance.hpp"

namespace snug {

/// A guard of what is read, the model's files, its inputs and its text, and of the output that is written
/// for a runtime (empty: none), whole or in pieces. Further outputs are added and check() called by whoever asks for it.
OutputGuard guard_for(Existing existing, const std::filesystem::path& model, const InputFiles& inputs,
                      const std::filesystem::path& text, const std::filesystem::path& out = {},
                      int64_t split_bytes = 0, std::string_view runtime = "llama.cpp");

/// Logs what does not match; throws Error where it cannot be used or is of another model. Nothing without an imatrix, which is logged.
std::optional<Importance> load_importance(const InputFiles& files, const ModelSource& model);

/// Nothing where neither file has any. Throws Error where a file named for them has none.
std::optional<Hessians> load_moments(const InputFiles& files);

/// Statistics of columns that tensors are encoded with, where there are any.
struct LoadedInputs {
  std::optional<Importance> importance{};
  std::optional<Hessians> moments{};

  const Importance* columns() const { return importance ? &*importance : nullptr; }
};

/// Loads what the files have and is not loaded yet: importance, and moments unless errors are not fed back. Logs
/// and throws as the two above do.
void load_inputs(const InputFiles& files, Feedback feedback, const ModelSource& model, LoadedInputs& loaded);

/// Fills in what was not named and can be collected from the model's own run over the calibration text: an
/// imatrix, and Hessians for error feedback of inputs up to `hessian_width` wide (0: none); kept under
/// the digest of what they are made from. Logs what it collected or found.
InputFiles collect_missing_inputs(const InputFiles& given, const CollectionFolders& folders, int64_t hessian_width,
                                  const CalibrationRun& run);

}  // namespace snug
