#include "calibrate/chunk_runner.hpp"

#include <algorithm>

namespace snug {
namespace {

constexpr int64_t kHeadRows = 64;  // whose logits exist at a time: bounds memory for large vocabularies

infer::Activations copy_of(Matrix<const float> m) {
  infer::Activations rows(m.rows, m.cols);
  std::copy_n(m.data, m.rows * m.cols, rows.at(0));
  return rows;
}

}  // namespace

ChunkRunner::ChunkRunner(const infer::Model& model, const CalibrationTokens& text, int64_t chunk_tokens,
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
  infer::Activations hidden;
  session_.reset();
  session_.hooks.on_linear = consume;
  if (output_)
    session_.hooks.on_boundary = [&](int layer, int64_t, Matrix<const float> rows) {
      if (layer == model_.layers()) hidden = copy_of(rows);
    };
  session_.forward(tokens, chunk_tokens_);
  session_.hooks = {};
  if (!output_) return;
  if (on_logits)
    run_head(tokens, hidden, consume);
  else
    show_head_inputs(tokens, hidden, consume);
}

infer::Batch ChunkRunner::head_step(std::span<const int32_t> tokens, int64_t first, infer::SequenceState& memory,
                                   const infer::Hooks& hooks) const {
  static const infer::Replacements none;
  return {.tokens = tokens,
          .lanes = {{&memory, first, 0, static_cast<int64_t>(tokens.size())}},
          .context = chunk_tokens_,
          .compute = compute_,
          .hooks = hooks,
          .replaced = none};
}

/// The logits are of no use: what they are made from is shown, and their product left out, often the largest
/// of all.
void ChunkRunner::show_head_inputs(std::span<const int32_t> tokens, const infer::Activations& hidden,
                                   const Consumer& consume) const {
  struct Shown {};
  infer::Hooks hooks;
  hooks.on_linear = [&](const infer::Weight& weight, int64_t matrix, Matrix<const float> rows) {
    consume(weight, matrix, rows);
    throw Shown{};
  };
  infer::SequenceState memory;
  try {
    model_.architecture().head(head_step(tokens, 0, memory, hooks), hidden);
  } catch (const Shown&) {
  }
}

/// Logits are shown piece by piece, what they are made from is collected and shown together.
void ChunkRunner::run_head(std::span<const int32_t> tokens, const infer::Activations& hidden,
                           const Consumer& consume) const {
  const infer::Weight* head = nullptr;
  infer::Activations inputs(hidden.count(), hidden.width());
  int64_t filled = 0;
  infer::Hooks hooks;
  hooks.on_linear = [&](const infer::Weight& weight, int64_t, Matrix<const float> rows) {
    head = &weight;
    std::copy_n(rows.data, rows.rows * rows.cols, inputs.at(filled));
    filled += rows.rows;
  };
  infer::SequenceState memory;
  for (int64_t begin = 0; begin < hidden.count(); begin += kHeadRows) {
    const int64_t count = std::min(kHeadRows, hidden.count() - begin);
    const auto part = tokens.subspan(static_cast<size_t>(begin), static_cast<size_t>(count));
    const infer::Activations logits = model_.architecture().head(
        head_step(part, begin, memory, hooks), copy_of({hidden.at(begin), count, hidden.width()}));
    if (head) on_logits(*head, logits);
  }
  if (head) consume(*head, 0, inputs.view());
}

}  // namespace snug
