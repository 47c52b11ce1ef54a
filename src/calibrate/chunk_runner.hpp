#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "infer/session.hpp"

namespace snug {

/// Tokens to run a model on, cut into chunks that start with `bos` in place of their first token.
struct CalibrationTokens {
  std::vector<int32_t> tokens;
  std::optional<int32_t> bos;
  std::string name;  // for the imatrix: a file, or how the text was made
};

/// Shows the inputs of all matrix products over a text, chunk by chunk, each a sequence of its own.
class ChunkRunner {
 public:
  /// inputs [tokens, weight.cols] of matrix `matrix`, as Hooks::on_linear has them.
  using Consumer =
      std::function<void(const infer::Weight& weight, int64_t matrix, Matrix<const float> inputs)>;
  /// logits [tokens, vocabulary] of some consecutive tokens of the chunk, made with `head`; all of them come
  /// before the head's inputs.
  using LogitConsumer = std::function<void(const infer::Weight& head, const infer::Activations& logits)>;

  /// `output`: the output matrix is one of them.
  ChunkRunner(const infer::Model& model, const CalibrationTokens& text, int64_t chunk_tokens, bool output,
              infer::Compute compute);

  int64_t chunks() const { return static_cast<int64_t>(text_.tokens.size()) / chunk_tokens_; }
  /// Ctrl-C is noticed before the first input is shown, never after it.
  void run(int64_t chunk, const Consumer& consume);
  LogitConsumer on_logits;  // with `output`, may be empty

 private:
  infer::Batch head_step(std::span<const int32_t> tokens, int64_t first, infer::SequenceState& memory,
                        const infer::Hooks& hooks) const;
  void show_head_inputs(std::span<const int32_t> tokens, const infer::Activations& hidden,
                        const Consumer& consume) const;
  void run_head(std::span<const int32_t> tokens, const infer::Activations& hidden, const Consumer& consume) const;

  const infer::Model& model_;
  const CalibrationTokens& text_;
  int64_t chunk_tokens_;
  bool output_;
  infer::Compute compute_;
  infer::Session session_;
};

}  // namespace snug
