#include "calibrate/text_sweep.hpp"

#include <algorithm>

#include "base/memory.hpp"

namespace snug {
namespace {

constexpr int64_t kHeadRows = 64;  // whose logits exist at a time: bounds memory for large vocabularies

using infer::Activations;

Activations rows_of(const Activations& all, int64_t begin, int64_t count) {
  Activations rows(count, all.width());
  std::copy_n(all.at(begin), count * all.width(), rows.at(0));
  return rows;
}

/// The logits are of no use: what they are made from is shown, and their product left out, often the largest of all.
void show_head_inputs(const infer::Sweep& sweep, const Activations& hidden, const infer::Hooks& shown_to) {
  struct Shown {};
  infer::Hooks hooks;
  hooks.on_linear = [&](const infer::Weight& weight, int64_t matrix, Matrix<const float> rows) {
    shown_to.on_linear(weight, matrix, rows);
    throw Shown{};
  };
  try {
    sweep.head(hidden, {&hooks, nullptr});
  } catch (const Shown&) {
  }
}

/// Logits are shown piece by piece, what they are made from is collected and shown together.
void run_head(const infer::Sweep& sweep, const Activations& hidden, const TextSweep::LogitConsumer& on_logits,
              const infer::Hooks& shown_to) {
  const infer::Weight* head = nullptr;
  Activations inputs(hidden.count(), hidden.width());
  int64_t filled = 0;
  infer::Hooks hooks;
  hooks.on_linear = [&](const infer::Weight& weight, int64_t, Matrix<const float> rows) {
    head = &weight;
    std::copy_n(rows.data, rows.rows * rows.cols, inputs.at(filled));
    filled += rows.rows;
  };
  for (int64_t begin = 0; begin < hidden.count(); begin += kHeadRows) {
    const int64_t count = std::min(kHeadRows, hidden.count() - begin);
    const Activations logits = sweep.head(rows_of(hidden, begin, count), {&hooks, nullptr});
    if (head) on_logits(*head, logits);
  }
  if (head) shown_to.on_linear(*head, 0, inputs.view());
}

}  // namespace

TextSweep::TextSweep(const infer::Model& model, const CalibrationTokens& text, const TextRun& run, int64_t first,
                     int64_t last)
    : model_{model},
      text_{text},
      run_{run},
      first_{first},
      last_{last},
      sweep_{model,
             {.context = run.chunk_tokens, .batch = run.chunk_tokens, .compute = run.compute},
             memory_for(MemoryUse::hidden_states)},
      reads_{model} {}

void TextSweep::show(const Consumer& consume, bool goes_on) {
  reads_.will_need(stage_ + 1);
  for (int64_t chunk = first_; chunk < last_; ++chunk) show_chunk(chunk, consume, goes_on);
  if (!goes_on) return;
  if (stage_ != kEmbeddings) reads_.done_with(stage_ < model_.layers() ? stage_ : infer::WeightReads::kOutside);
  ++stage_;
  if (ended()) reads_.tell("collecting");
}

void TextSweep::show_chunk(int64_t chunk, const Consumer& consume, bool goes_on) {
  infer::Hooks hooks;
  hooks.on_linear = [&](const infer::Weight& weight, int64_t matrix, Matrix<const float> rows) {
    consume(chunk, weight, matrix, rows);
  };
  if (stage_ == kEmbeddings) return embed(chunk, {&hooks, nullptr}, goes_on);
  const size_t sequence = sequences_[static_cast<size_t>(chunk - first_)];
  if (stage_ < model_.layers()) return sweep_.step(sequence, {&hooks, nullptr}, goes_on);
  if (!run_.output) return;
  const Activations hidden = sweep_.hidden(sequence);
  if (on_logits)
    run_head(sweep_, hidden, on_logits, hooks);
  else
    show_head_inputs(sweep_, hidden, hooks);
}

void TextSweep::embed(int64_t chunk, const infer::SweepStep& how, bool goes_on) {
  const size_t sequence = sweep_.begin(tokens_of(chunk), how);
  if (goes_on)
    sequences_.push_back(sequence);
  else
    sweep_.end(sequence);
}

std::vector<Activations> TextSweep::place(int64_t chunk) const {
  return sweep_.place(sequences_[static_cast<size_t>(chunk - first_)]);
}

void TextSweep::stand(int stage, int64_t chunk, std::vector<Activations> place) {
  sequences_.resize(static_cast<size_t>(last_ - first_));
  size_t& sequence = sequences_[static_cast<size_t>(chunk - first_)] = sweep_.begin(tokens_of(chunk));
  sweep_.stand(sequence, stage, std::move(place));
  stage_ = stage;
}

std::vector<int32_t> TextSweep::tokens_of(int64_t chunk) const {
  const auto first = text_.tokens.begin() + chunk * run_.chunk_tokens;
  std::vector<int32_t> tokens(first, first + run_.chunk_tokens);
  if (text_.bos) tokens.front() = *text_.bos;
  return tokens;
}

}  // namespace snug
