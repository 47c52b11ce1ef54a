#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "base/files/atomic_file.hpp"
#include "base/files/mapped_file.hpp"
#include "infer/rows.hpp"

namespace snug::infer {

/// A text in chunks of `context` tokens, scored as llama-perplexity does: every chunk by itself, the first
/// token replaced by BOS where the vocabulary wants one, and the tokens of the second half predicted.
struct Chunks {
  int64_t context = 0;
  std::vector<int32_t> tokens;  // [chunks, context], as in the text

  int64_t count() const { return context ? static_cast<int64_t>(tokens.size()) / context : 0; }
  int64_t first() const { return context / 2; }             // rows first .. context - 2 are scored:
  int64_t scored() const { return context - 1 - first(); }  // row i predicts token i + 1
  std::span<const int32_t> chunk(int64_t c) const {
    return std::span{tokens}.subspan(static_cast<size_t>(c * context), static_cast<size_t>(context));
  }
};

/// The base-logits file of llama-perplexity (--kl-divergence-base), §6 of the format reference:
/// "_logits_", u32 context, i32 vocabulary, i32 chunks, i32 tokens[chunks * context], then per scored token
/// f32 scale, f32 least, u16 codes[vocabulary rounded up to even]: ln p = scale * code + least.
/// Values more than 16 below the largest are cut off there.
class BaseLogitsWriter {
 public:
  BaseLogitsWriter(const std::filesystem::path& path, Existing existing, const Chunks& chunks,
                   int64_t vocabulary);
  /// logits [rows, vocabulary] of the scored tokens that come next; chunks.scored() of each chunk in all
  void write_rows(const Activations& logits);
  void commit() { file_.commit(); }

 private:
  int64_t vocabulary_;
  AtomicFile file_;
};

class BaseLogits {
 public:
  explicit BaseLogits(
      const std::filesystem::path& path);  // throws Error for any other file, or one cut short

  const Chunks& chunks() const { return chunks_; }
  int64_t vocabulary() const { return vocabulary_; }
  /// Log-probabilities of scored token `row` of a chunk, [vocabulary]. Throws Error where the row holds none.
  void read(int64_t chunk, int64_t row, std::span<float> log_probabilities) const;

  static constexpr float kFloor = -16;  // at and below this, values are cut off

 private:
  MappedFile file_;
  Chunks chunks_;
  int64_t vocabulary_ = 0;
  size_t first_row_ = 0, row_bytes_ = 0;
};

}  // namespace snug::infer
