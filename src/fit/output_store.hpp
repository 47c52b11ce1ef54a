#pragma once

#include <filesystem>
#include <string>

#include "snug/digest.hpp"
#include "snug/fit.hpp"
#include "snug/model.hpp"
#include "snug/output.hpp"
#include "snug/state.hpp"

namespace snug {

/// What a state remembers of an output, so that the same call again, after it was stopped or finished, knows its files.
enum class OutputState {
  unknown,   // never begun here, or the files are others
  begun,     // the files have the size that was planned; whether all was written must be looked at
  finished,  // the files have the bytes that were written
};

/// What was asked for, apart from the names of outputs: the model, what is read beside it, the budget, and how.
Digest request_digest(const FitRequest& request, const ModelSource& model);

/// Before writing: so many bytes are coming under that name.
void keep_begun(Store& state, const Digest& request, const std::filesystem::path& output, int64_t bytes);

/// After it, with the digest of every file.
void keep_finished(Store& state, const Digest& request, const std::filesystem::path& output, const WrittenModel& written);

struct KnownOutput {
  OutputState is = OutputState::unknown;
  WrittenModel written{};
};

/// Reads the files to compare them where they are finished.
KnownOutput known_output(const Store& state, const Digest& request, const std::filesystem::path& output);

}  // namespace snug
