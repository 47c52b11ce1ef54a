#include "measure/chunk_runner.hpp"

#include <algorithm>

namespace snug {
namespace {

infer::Rows copy_of(Matrix<const float> m) {
  infer::Rows rows(m.rows, m.cols);
  std::copy_n(m.data, m.rows * m.cols, rows.at(0));
  return rows;
}

}  // namespace

ChunkRunner::ChunkRunner(const infer::Model& model, const Calibration& text, int64_t chunk_tokens,
                         bool output, infer::Compute compute)
    : model_{model},
      text_{text},
      chunk_tokens_{chunk_tokens},
      output_{output},
      compute_{compute},
      session_{model, {.context = chunk_tokens, .batch = chunk_tokens, .compute = compute}} {}

void ChunkRunner::run(int64_t chunk, const Consumer& consume) {
  const auto first = text_.tokens.begin() + chunk * chunk_tokens_;
  std::vector<int32_t> tokens(first, first + chunk_tokens_);
  if (text_.bos) tokens.front() = *text_.bos;
  infer::Rows hidden;
  session_.reset();
  session_.hooks.on_linear = consume;
  if (output_)
    session_.hooks.on_boundary = [&](int layer, int64_t, Matrix<const float> rows) {
      if (layer == model_.layers()) hidden = copy_of(rows);
    };
  session_.forward(tokens, chunk_tokens_);
  session_.hooks = {};
  if (output_) run_head(tokens, hidden, consume);
}

/// The logits are of no use: what they are made from is shown, and their product left out, often the largest
/// of all.
void ChunkRunner::run_head(std::span<const int32_t> tokens, const infer::Rows& hidden,
                           const Consumer& consume) const {
  struct Shown {};
  infer::Hooks hooks;
  hooks.on_linear = [&](const infer::Weight& weight, int64_t matrix, Matrix<const float> rows) {
    consume(weight, matrix, rows);
    throw Shown{};
  };
  infer::Memory memory;
  const infer::Replacements replaced;
  const infer::Step step{.tokens = tokens,
                         .first_position = 0,
                         .context = chunk_tokens_,
                         .compute = compute_,
                         .memory = memory,
                         .hooks = hooks,
                         .replaced = replaced};
  try {
    model_.architecture().head(step, hidden);
  } catch (const Shown&) {
  }
}

}  // namespace snug
