#pragma once

#include <filesystem>
#include <span>

#include "artifact/artifact.hpp"
#include "snug/digest.hpp"
#include "snug/fit.hpp"
#include "snug/model.hpp"
#include "snug/output.hpp"
#include "snug/state.hpp"

namespace snug {

/// What a state remembers of an output, so that the same call again, after it was stopped or finished, knows its files.
enum class OutputState {
  unknown,   // never begun here, or the files are others
  partly,    // stopped while its files were put in place one by one: some are there, and are to be replaced
  begun,     // the files have the size that was planned; whether all was written must be looked at
  finished,  // the files have the bytes that were written
};

/// What was asked for, apart from the names of outputs: the model, what is read beside it, the budget, and how.
Digest request_digest(const FitRequest& request, const ModelSource& model);

/// Before writing: these files are coming.
void keep_begun(Store& state, const Digest& request, const std::filesystem::path& output, std::span<const OutputFile> files);

/// After it, with the digest of every file.
void keep_finished(Store& state, const Digest& request, const std::filesystem::path& output, const WrittenModel& written);

struct KnownOutput {
  OutputState is = OutputState::unknown;
  WrittenModel written{};  // of files that are there
};

/// Reads the files to compare them where they are finished.
KnownOutput known_output(const Store& state, const Digest& request, const std::filesystem::path& output);

}  // namespace snug
