#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "eval/base_logits.hpp"
#include "eval/divergence.hpp"
#include "infer/session.hpp"

namespace snug::infer {

/// Cuts a text into whole chunks, at most `limit` (0: all). Throws Error where it is shorter than two
/// contexts, as llama-perplexity does; it names `source`.
Chunks cut_into_chunks(std::vector<int32_t> tokens, int64_t context, int64_t limit,
                       const std::string& source = {});

/// After each chunk: what was scored so far. For progress and running figures.
using AfterChunk = std::function<void(int64_t chunk)>;

/// Perplexity of a model, run as each chunk by itself would be in such a session (ScoredRun). The logits go
/// to `save` as well where it is given. This and compare_chunks() throw
/// Error (chunk, token, file) where a prediction is no number.
std::vector<TokenScore> score_chunks(const Session& session, const Chunks& chunks, std::optional<int32_t> bos,
                                     BaseLogitsWriter* save, const AfterChunk& after);

/// A model beside its original, both run here (`base`), or from a base-logits file.
std::vector<TokenPair> compare_chunks(const Session& session, const Session& base, const Chunks& chunks,
                                      std::optional<int32_t> bos, BaseLogitsWriter* save,
                                      const AfterChunk& after);
std::vector<TokenPair> compare_chunks(const Session& session, const BaseLogits& base, int64_t limit,
                                      std::optional<int32_t> bos, const AfterChunk& after);

/// The token with the largest divergences: index into the pairs, most diverging first.
std::vector<size_t> worst_tokens(std::span<const TokenPair> pairs, size_t count);

}  // namespace snug::infer
