#pragma once

#include <cstdint>
#include <vector>

#include "infer/model.hpp"
#include "snug/state.hpp"

namespace snug {

struct SelfTextOptions {
  int64_t tokens = 16384;         // in all
  int64_t document_tokens = 256;  // of each document, at most; no more than the model's context
  float temperature = 1;
  uint64_t seed = 1;
};

/// Text that the model writes itself: documents that start with BOS (the end of text, or any token, where the
/// vocabulary has none) and are drawn token by token from all the model gives, until it ends one or it is
/// long enough. The same seed gives the same tokens on any machine and number of threads. Each document is
/// kept among the notes of `keep` (if given) as soon as it is written: a run that was stopped does not write
/// it again.
std::vector<int32_t> write_self_text(const infer::Model& model, const SelfTextOptions& options, Store* keep);

}  // namespace snug
