#pragma once

#include <cstdint>
#include <functional>

#include "calibrate/text_sweep.hpp"

namespace snug {

/// Shows the inputs of all matrix products over some chunks of a text, in one sweep.
class ChunkRunner {
 public:
  /// inputs [tokens, weight.cols] of matrix `matrix`, as Hooks::on_linear has them.
  using Consumer =
      std::function<void(const infer::Weight& weight, int64_t matrix, Matrix<const float> inputs)>;
  using LogitConsumer = TextSweep::LogitConsumer;

  /// `output`: the output matrix is one of them.
  ChunkRunner(const infer::Model& model, const CalibrationTokens& text, int64_t chunk_tokens, bool output,
              infer::Compute compute)
      : model_{model}, text_{text}, run_{chunk_tokens, output, compute} {}

  int64_t chunks() const { return static_cast<int64_t>(text_.tokens.size()) / run_.chunk_tokens; }
  int64_t chunk_tokens() const { return run_.chunk_tokens; }
  /// Ctrl-C is noticed before the first input is shown, never after it.
  void run(int64_t chunk, const Consumer& consume) { run(chunk, chunk + 1, consume); }
  /// Chunks [first, last) together: a weight is shown its inputs of all of them before the next.
  void run(int64_t first, int64_t last, const Consumer& consume);
  LogitConsumer on_logits;  // with `output`, may be empty

  /// All that is left to the caller: chunks [first, last), stage by stage.
  TextSweep sweep(int64_t first, int64_t last) const { return {model_, text_, run_, first, last}; }

 private:
  const infer::Model& model_;
  const CalibrationTokens& text_;
  TextRun run_;
};

}  // namespace snug
