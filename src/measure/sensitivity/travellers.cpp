#include "measure/sensitivity/travellers.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <string>

#include "base/digest.hpp"
#include "base/events.hpp"
#include "base/parallel.hpp"
#include "base/str.hpp"
#include "eval/divergence.hpp"
#include "measure/scores.hpp"
#include "snug/error.hpp"

namespace snug {

Travellers::Travellers(const infer::Model& model, const TextChunks& text, const std::vector<Subject>& subjects,
                       const SensitivityOptions& options, Progress& progress)
    : model_{model},
      text_{text},
      subjects_{subjects},
      options_{options},
      progress_{progress},
      sweeps_{!stays_in_memory(model.source().bytes())},
      store_{sweeps_ ? memory_for(MemoryUse::hidden_states) : options.memory_bytes},
      reads_{model} {
  for (size_t i = 0; i < subjects.size(); ++i) index_[subjects[i].sampled.weight] = i;
}

/// At the beginning of their way.
void Travellers::meet(std::span<const int64_t> chunks) {
  travellers_ = std::vector<Traveller>(chunks.size());
  parallel_for(std::ssize(travellers_), [&](int64_t i) {
    Traveller& t = travellers_[static_cast<size_t>(i)];
    t.chunk = chunks[static_cast<size_t>(i)];
    t.hidden = std::make_unique<HiddenStates>(store_);
    listen(t);
    t.pass = std::make_unique<infer::ReversePass>(
        model_, text_.tokens(t.chunk), options_.draws, t.hooks,
        [&t](int layer) -> const infer::Activations& { return t.hidden->before_lender(layer); });
  });
}

void Travellers::listen(Traveller& t) {
  t.hooks.on_linear = [this, &t](const infer::Weight& weight, int64_t matrix, const infer::Activations& inputs,
                                 const infer::Activations& gradients) {
    RowGradients* of = gradients_of(t, weight);
    if (!of) return;
    of->add_product(matrix, inputs, gradients);
    if (sweeps_ && weight.matrices == 1) of->rest(store_);  // experts are shown one by one, and rest when all were
  };
  t.hooks.on_look_up = [this, &t](const infer::Weight& table, const infer::Activations& gradients) {
    if (RowGradients* of = gradients_of(t, table)) of->add_look_up(text_.tokens(t.chunk), gradients);
  };
}

RowGradients* Travellers::gradients_of(Traveller& t, const infer::Weight& weight) const {
  const auto found = index_.find(&weight);
  if (found == index_.end() || !subjects_[found->second].wants(t.chunk)) return nullptr;
  return &t.gradients.try_emplace(found->second, subjects_[found->second].sampled, options_.draws).first->second;
}

template <class Pass>
std::vector<Pass*> Travellers::passes() const {
  std::vector<Pass*> all;
  for (const Traveller& t : travellers_) all.push_back(t.pass.get());
  return all;
}

SavedWay::Hidden Travellers::hidden() const {
  SavedWay::Hidden all;
  for (const Traveller& t : travellers_) all.push_back(t.hidden.get());
  return all;
}

Digest Travellers::key() const {
  Hasher hasher;
  hasher.add("sensitivity, there and back");
  for (const Subject& s : subjects_) hasher.add_array<uint8_t>(s.key.bytes);
  for (const Traveller& t : travellers_) hasher.add_array<uint8_t>(text_.digest(t.chunk).bytes);
  return hasher.finish();
}

int Travellers::set_out(std::span<const int64_t> chunks) {
  meet(chunks);
  way_.emplace(model_, text_.context(), options_.saved, key());
  const auto stage = way_->go_on_back(passes<infer::ReversePass>(), hidden(), [&](NumberReader& read, size_t t) {
    read_gradients(read, travellers_[t]);
  });
  if (stage && nothing_is_missing(*stage)) {
    progress_.advance_known(std::ssize(chunks) * (2 * model_.layers() - 1 - *stage));
    return *stage;
  }
  meet(chunks);
  run_there();
  return model_.layers();
}

void Travellers::save(int stage) {
  if (!way_->due()) return;
  way_->save_back(stage, passes<const infer::ReversePass>(), hidden(), [&](NumberWriter& write, size_t t) {
    const auto& gradients = travellers_[t].gradients;  // of tensors that a later stage shows again
    write(std::ssize(gradients));
    for (const auto& [subject, of] : gradients) {
      write(std::string{subjects_[subject].tensor->name});
      of.write(write);
    }
  });
}

void Travellers::read_gradients(NumberReader& read, Traveller& t) const {
  int64_t count = 0;
  read(count);
  for (int64_t i = 0; i < count; ++i) {
    std::string name;
    read(name);
    const auto found = index_.find(model_.find(name));
    if (found == index_.end()) read.fail("gradients of no tensor");
    const size_t subject = found->second;
    t.gradients.try_emplace(subject, subjects_[subject].sampled, options_.draws).first->second.read(read);
  }
}

/// Whether all that stages before this one were the last to show is known, and what a stage to come shows again waits.
bool Travellers::nothing_is_missing(int stage) const {
  return std::ranges::all_of(travellers_, [&](const Traveller& t) {
    for (size_t i = 0; i < subjects_.size(); ++i) {
      const Subject& s = subjects_[i];
      if (s.wants(t.chunk) && (s.last > stage || (s.first > stage && !t.gradients_of(i)))) return false;
    }
    return true;
  });
}

/// Runs the original over the chunks and keeps the hidden states before every block.
void Travellers::run_there() {
  const auto start = std::chrono::steady_clock::now();
  // What waits in the sweep is kept here besides.
  const int64_t bytes = sweeps_ ? 0 : options_.memory_bytes;
  infer::Sweep sweep{model_, {.context = text_.context(), .batch = text_.context()}, bytes};
  std::vector<size_t> sequences = begin(sweep);
  const auto known = way_->go_on_there(sweep, sequences, hidden());
  if (!known) {
    for (const size_t sequence : sequences) sweep.end(sequence);
    for (Traveller& t : travellers_) t.hidden = std::make_unique<HiddenStates>(store_);
    sequences = begin(sweep);
  }
  progress_.advance_known(std::ssize(travellers_) * known.value_or(0));
  for (int block = known.value_or(0); block <= model_.layers(); ++block) {
    step(sweep, sequences, block);
    if (block < model_.layers() && way_->due()) way_->save_there(sweep, sequences, block + 1, hidden());
  }
  forward_seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

std::vector<size_t> Travellers::begin(infer::Sweep& sweep) const {
  std::vector<size_t> sequences;
  for (const Traveller& t : travellers_) sequences.push_back(sweep.begin(text_.tokens(t.chunk)));
  return sequences;
}

/// Keeps the states before a block and goes through it; layers() for behind the last.
void Travellers::step(infer::Sweep& sweep, const std::vector<size_t>& sequences, int block) {
  reads_.will_need(block + 1);
  parallel_for(std::ssize(travellers_), [&](int64_t i) {
    check_cancelled();
    const auto s = static_cast<size_t>(i);
    travellers_[s].hidden->keep(sweep.hidden(sequences[s]));
    if (block == model_.layers()) return;
    sweep.step(sequences[s]);
    progress_.advance(1);
  });
  reads_.done_with(block);
}

void Travellers::go(int stage) {
  check_cancelled();
  const auto go_back = [&](int64_t i) {
    Traveller& t = travellers_[static_cast<size_t>(i)];
    if (stage == model_.layers())
      head(t);
    else if (stage == kLookUp)
      t.pass->embed();
    else
      t.pass->layer(stage, t.hidden->before(stage));
    for (auto& [subject, gradients] : t.gradients) gradients.rest(store_);
    if (stage != model_.layers() && stage != kLookUp) progress_.advance(1, str("block ", stage));
  };
  const int64_t count = std::ssize(travellers_), at_once = sweeps_ ? together(stage) : count;
  for (int64_t first = 0; first < count; first += at_once)
    parallel_for(std::min(at_once, count - first), [&](int64_t i) { go_back(first + i); });
}

/// So many that what a stage shows of them, while it does, fits into their share of memory; one at least.
int64_t Travellers::together(int stage) const {
  int64_t largest = 1, experts = 0;
  for (const Subject& s : subjects_) {
    if (s.last > stage || stage > s.first) continue;
    const int64_t values = std::ssize(s.sampled.sample.rows) * s.tensor->cols();
    if (s.tensor->experts() > 1) experts += values;
    largest = std::max(largest, values);
  }
  int64_t bytes = largest + experts;
  if (stage == model_.layers()) bytes += std::min(infer::kLogitsAtOnce, text_.scored() * model_.vocabulary());
  bytes *= options_.draws * int64_t{sizeof(float)};
  return std::max<int64_t>(1, memory_for(MemoryUse::hidden_states) / bytes);
}

void Travellers::head(Traveller& t) const {
  const infer::Activations& last = t.hidden->before(model_.layers());
  t.pass->head(last, text_.first_scored(), [&](int64_t first, const infer::Activations& logits) {
    if (!std::isfinite(infer::log_sum_exp(logits.row(0))))
      throw Error{"what the original predicts is no number", model_.source().path().string(), kDamagedModel};
    return score_gradients(logits, first, options_.draws, text_.digest(t.chunk));
  });
}

}  // namespace snug
