#pragma once

#include <cstdint>
#include <filesystem>

#include "base/files/atomic_file.hpp"
#include "calibrate/chunk_runner.hpp"

namespace snug {

struct CollectOptions {
  int64_t chunk_tokens = 512;
  int64_t skip_chunks = 0;     // of the text, left to another run
  int64_t chunks = 0;          // behind those, at most; 0: all
  bool output = false;         // also the input of the output matrix (the token embedding where it is that)
  bool full = false;           // also second moments
  int64_t full_width = 16384;  // inputs wider than that get none: a matrix is at most 1 GiB
  int64_t memory_bytes = 0;    // for second moments; 0: half of what is available
  double save_seconds = 30;    // between two saves; more where saving itself takes long
  infer::Compute compute = infer::Compute::exact;
};

struct CollectReport {
  int64_t tensors = 0, chunks = 0;
  int64_t passes = 1;   // parts that second moments were summed in, one after the other, so that each fits into memory
  int64_t resumed = 0;  // chunks, over all passes, that an earlier run had done
  int64_t inputs = 0;   // with second moments
  int64_t file_bytes = 0;
  double model_reads = 0;  // how often all weights were read in the main; 0 where the model stayed in memory
  double seconds = 0;
};

/// Runs the model over a text and writes the sums of each matrix's inputs as an imatrix: in_sum2, in_sum and
/// counts, per expert, and with `full` the second moments. Chunks are those of llama-imatrix: from the start
/// of the text, a rest shorter than a chunk unused, each a sequence of its own. A name that ends in .dat gets
/// the legacy form.
///
/// Every half minute or so, and on Ctrl-C (Fault::interrupted), what is done is saved beside the output, as
/// <out>.resume-<pass>; the same call goes on from there, and ends with the same bytes. The result does not
/// depend on threads or, in exact mode, on the machine.
///
/// Memory, beside one chunk's activations: the column sums, hidden states (MemoryUse::hidden_states, the rest in a
/// scratch file), and with `full` memory_bytes or the largest matrix of full_width, whichever is more. Where the model
/// or its second moments take more than memory allows, all chunks go through a layer before the next is read, and sums
/// that are finished wait on disk.
///
/// Throws Error where the text is shorter than a chunk, an activation is not finite, the disk is full, or
/// (before the first chunk) disk or memory cannot hold the second moments.
CollectReport collect_imatrix(const infer::Model& model, const CalibrationTokens& text,
                              const CollectOptions& options, const std::filesystem::path& out,
                              Existing existing);

/// Whether the name asks for the legacy form.
bool is_legacy_name(const std::filesystem::path& out);

}  // namespace snug
