#pragma once

#include <cstdint>
#include <filesystem>
#include <span>

#include "base/files/atomic_file.hpp"

namespace snug {

struct ImatrixMergeReport {
  int64_t tensors = 0, chunks = 0;
  int64_t inputs = 0;             // with second moments
  bool differing_chunks = false;  // of different lengths: the file names the first's
  int64_t means_dropped = 0;      // tensors that have in_sum in some of the files only
  int64_t in_some_only = 0;       // tensors that not all files have
  int64_t groups_dropped = 0;     // inputs whose rows the files group in different ways
};

/// Adds up imatrix files of one model, from different texts or parts of one, into a new file: sums and counts
/// add, a tensor or input that only some have is taken from those, datasets are listed one after another. Groups
/// of rows are taken over where all files have the same: parts of one text do. The
/// second moments go through memory one matrix at a time. Throws Error where shapes differ, or for a legacy
/// file, whose counts are not of tokens.
ImatrixMergeReport merge_imatrices(std::span<const std::filesystem::path> inputs,
                                   const std::filesystem::path& out, Existing existing);

}  // namespace snug
