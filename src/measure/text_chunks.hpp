#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "infer/model.hpp"
#include "snug/digest.hpp"

namespace snug {

/// A text cut into chunks that are sequences of their own.
class TextChunks {
 public:
  struct Options {
    int64_t chunks = 0;            // at most
    int64_t context = 0;           // tokens of a chunk, at most what the model is made for
    std::optional<int32_t> bos{};  // replaces the first token of each chunk
  };
  /// Throws Error if the text is shorter than two chunks or a token is not in the vocabulary.
  TextChunks(const infer::Model& model, std::span<const int32_t> tokens, const Options& options);

  int64_t chunks() const { return static_cast<int64_t>(chunks_.size()); }
  int64_t context() const { return context_; }
  int64_t first_scored() const { return context_ / 8; }  // predictions from next to nothing are alike in all models
  int64_t scored() const { return context_ - first_scored(); }
  std::span<const int32_t> tokens(int64_t chunk) const { return chunks_[static_cast<size_t>(chunk)]; }
  /// Tokens that follow scored tokens [begin, end) of a chunk: one less at its end, behind which nobody knows.
  std::span<const int32_t> next(std::span<const int32_t> chunk, int64_t begin, int64_t end) const;
  Digest digest(int64_t chunk) const;  // of its tokens and which of them are scored

  /// How often each token of the vocabulary comes, as a share of the text.
  std::vector<double> token_shares() const;

 private:
  int64_t context_, vocabulary_;
  std::vector<std::vector<int32_t>> chunks_;
};

}  // namespace snug
