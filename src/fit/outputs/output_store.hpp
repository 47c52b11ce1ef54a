#pragma once

#include <filesystem>
#include <span>

#include "artifact/artifact.hpp"
#include "artifact/output_note.hpp"
#include "snug/digest.hpp"
#include "snug/evidence_options.hpp"
#include "snug/model.hpp"
#include "snug/output.hpp"
#include "snug/plan_options.hpp"
#include "snug/state.hpp"

namespace snug {

/// What was asked for, apart from the names of outputs: the model, what is read beside it, the budget, and how.
Digest request_digest(const ModelSource& model, const PlanOptions& plan, const EvidenceOptions& evidence);

/// Puts a begun_note() among the notes of the state.
void keep_begun(Store& state, const Digest& request, const std::filesystem::path& output, std::span<const OutputFile> files);

/// A finished_note().
void keep_finished(Store& state, const Digest& request, const std::filesystem::path& output, const WrittenModel& written);

/// Reads the files to compare them where they are finished.
KnownOutput known_output(const Store& state, const Digest& request, const std::filesystem::path& output);

}  // namespace snug
