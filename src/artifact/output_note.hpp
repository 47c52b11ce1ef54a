#pragma once

#include <filesystem>
#include <span>
#include <string>

#include "artifact/artifact.hpp"
#include "base/digest.hpp"
#include "snug/output.hpp"

namespace snug {

/// What a note says of an output, so that the same call again, after it was stopped or finished, knows its files.
enum class OutputState {
  unknown,   // never begun, or the files are others
  partly,    // stopped while its files were put in place one by one: some are there, and are to be replaced
  begun,     // the files have the size that was planned; whether all was written must be looked at
  finished,  // the files have the bytes that were written
};

struct KnownOutput {
  OutputState is = OutputState::unknown;
  WrittenModel written{};  // of files that are there
};

/// Before writing: these files are coming.
std::string begun_note(std::span<const OutputFile> files);

/// After it, with the digest of every file.
std::string finished_note(const WrittenModel& written);

/// Compares a note of `output` with what is there; reads the files where they are finished. A text that is no note
/// tells of an unknown output.
KnownOutput read_output_note(const std::string& text, const std::filesystem::path& output);

/// Files that are read beside a model stand for their contents by name, size and time: they may be as large as it is.
void add_file(Hasher& hasher, const std::filesystem::path& file);

}  // namespace snug
