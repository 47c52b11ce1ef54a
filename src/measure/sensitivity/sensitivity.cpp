#include "measure/sensitivity/sensitivity.hpp"

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <memory>
#include <tuple>
#include <utility>

#include "base/digest.hpp"
#include "base/events.hpp"
#include "base/memory.hpp"
#include "base/parallel.hpp"
#include "base/progress.hpp"
#include "base/str.hpp"
#include "encode/candidates.hpp"
#include "eval/divergence.hpp"
#include "infer/reverse/reverse_pass.hpp"
#include "infer/sweep.hpp"
#include "infer/weight_reads.hpp"
#include "measure/format_errors.hpp"
#include "measure/hidden_states.hpp"
#include "measure/scores.hpp"
#include "measure/sensitivity/format_squares.hpp"
#include "measure/sensitivity/row_gradients.hpp"
#include "measure/sensitivity/sensitivity_subject.hpp"
#include "measure/text_chunks.hpp"
#include "model/roles.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

using Clock = std::chrono::steady_clock;

constexpr const char* kDamaged = "weights or metadata of the model are damaged: copy or convert it again";

/// So many go through a model together that is read block by block: a run that is stopped loses what it did for these.
constexpr size_t kSweptChunks = 4;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// One chunk on its way.
struct Traveller {
  int64_t chunk = 0;
  std::unique_ptr<HiddenStates> hidden;
  infer::ReverseHooks hooks;
  std::unique_ptr<infer::ReversePass> pass;
  std::map<size_t, RowGradients> gradients;  // of subjects

  /// Nothing where the pass showed none.
  const RowGradients* gradients_of(size_t subject) const {
    const auto found = gradients.find(subject);
    return found == gradients.end() ? nullptr : &found->second;
  }
};

class Sensing {
 public:
  Sensing(const infer::Model& model, const Importance* importance, Store& state, std::span<const int32_t> tokens,
          const SensitivityOptions& options)
      : model_{model}, state_{state}, options_{options}, text_{model, tokens, {options.chunks, options.context, options.bos}} {
    const auto wanted = wanted_formats(options.formats, options.runtime);
    const Digest contents = model.source().contents_digest();
    for (const Tensor& tensor : model.source().tensors()) {
      if (!is_quantizable(tensor) || !find_format(tensor.format) || !model.find(tensor.name)) continue;
      if (!infer::differentiable(model, tensor.name))
        results_.beyond.emplace_back(tensor.name);
      else
        add_subject(tensor, importance ? importance->find(tensor.name) : nullptr, wanted, contents);
    }
  }

  SensitivityResults run() {
    const auto start = Clock::now();
    for (Subject& subject : subjects_) recall(subject);
    if (const std::vector<int64_t> chunks = wanted_chunks(); !chunks.empty()) go_there_and_back(chunks);
    results_.seconds = seconds_since(start);
    summarise();
    return std::move(results_);
  }

 private:
  void add_subject(const Tensor& tensor, const TensorImportance* importance,
                   const std::vector<const Format*>& wanted, const Digest& contents) {
    Subject subject;
    subject.tensor = &tensor;
    subject.importance = importance;
    subject.formats = candidates_of(tensor, wanted);
    std::erase(subject.formats, find_format(tensor.format));
    if (subject.formats.empty()) return;
    std::tie(subject.first, subject.last) = stages_of(model_, tensor.name);
    subject.sampled.weight = model_.find(tensor.name);
    subject.sampled.sample = sample_of(model_, tensor, text_);
    subject.key = key_of(subject, contents, options_);
    subject.records.resize(static_cast<size_t>(text_.chunks()));
    index_[subject.sampled.weight] = subjects_.size();
    subjects_.push_back(std::move(subject));
  }

  Digest record_key(const Subject& subject, const Format& format, int64_t chunk) const {
    return Hasher{}
        .add_array<uint8_t>(subject.key.bytes)
        .add(static_cast<uint64_t>(format.id))
        .add(uint64_t{format.encoder_version})
        .add_array<uint8_t>(text_.digest(chunk).bytes)
        .finish();
  }

  bool is_mine(int64_t chunk) const { return chunk % options_.shards == options_.shard; }

  bool is_of(const SensitivityRecord& record, const Subject& subject, const Format& format) const {
    return record.tensor == subject.tensor->name && record.format == format.id &&
           record.tokens == text_.scored() && record.draws == options_.draws;
  }

  void recall(Subject& subject) {
    for (int64_t c = 0; c < text_.chunks(); ++c) {
      if (!is_mine(c)) continue;
      std::vector<SensitivityRecord> found;
      for (const Format* format : subject.formats)
        if (const auto payload = state_.get(RecordKind::sensitivity, record_key(subject, *format, c)))
          if (SensitivityRecord record = parse_sensitivity(*payload); is_of(record, subject, *format))
            found.push_back(std::move(record));
      if (found.size() < subject.formats.size()) continue;  // one pass makes all of them
      results_.reused += static_cast<int64_t>(found.size());
      subject.records[static_cast<size_t>(c)] = std::move(found);
    }
  }

  bool wants(const Subject& subject, int64_t chunk) const {
    return is_mine(chunk) && subject.records[static_cast<size_t>(chunk)].empty();
  }
  bool wants(const Subject& subject) const {
    for (int64_t c = 0; c < text_.chunks(); ++c)
      if (wants(subject, c)) return true;
    return false;
  }

  /// The last stage that something is wanted of; beyond all stages where nothing is.
  int last_stage() const {
    int stage = model_.layers() + 1;
    for (const Subject& subject : subjects_)
      if (wants(subject)) stage = std::min(stage, subject.last);
    return stage;
  }

  std::vector<int64_t> wanted_chunks() const {
    std::vector<int64_t> chunks;
    for (int64_t c = 0; c < text_.chunks(); ++c)
      if (std::ranges::any_of(subjects_, [&](const Subject& s) { return wants(s, c); })) chunks.push_back(c);
    return chunks;
  }

  void go_there_and_back(std::span<const int64_t> chunks) {
    const int end = last_stage();
    progress_ = std::make_unique<Progress>("sensitivity", std::ssize(chunks) * (2 * model_.layers() - std::max(end, 0)),
                                           Progress::Unit::items);
    for (const size_t together = sweeps_ ? kSweptChunks : chunks.size(); !chunks.empty();) {
      const size_t count = std::min(together, chunks.size());
      for (const int64_t c : chunks.first(count))
        travellers_.push_back({.chunk = c, .hidden = {}, .hooks = {}, .pass = {}, .gradients = {}});
      set_out();
      for (int stage = model_.layers(); stage >= end; --stage) go(stage);
      travellers_.clear();
      chunks = chunks.subspan(count);
    }
    reads_.tell("the way there and back");
  }

  /// Runs the original over the travellers' chunks.
  void set_out() {
    const auto start = Clock::now();
    const auto count = std::ssize(travellers_);
    const int stride = HiddenStates::stride_for(model_, count, text_.context(), options_.memory_bytes);
    if (sweeps_) run_in_sweep();
    parallel_for(count, [&](int64_t i) {
      Traveller& t = travellers_[static_cast<size_t>(i)];
      if (!sweeps_) t.hidden = std::make_unique<HiddenStates>(model_, text_.tokens(t.chunk), stride);
      t.hooks.on_linear = [this, &t](const infer::Weight& weight, int64_t matrix,
                                     const infer::Activations& inputs, const infer::Activations& gradients) {
        RowGradients* of = gradients_of(t, weight);
        if (!of) return;
        of->add_product(matrix, inputs, gradients);
        if (sweeps_ && weight.matrices == 1) of->rest(store_);  // experts are shown one by one, and rest when all were
      };
      t.hooks.on_look_up = [this, &t](const infer::Weight& table, const infer::Activations& gradients) {
        if (RowGradients* of = gradients_of(t, table)) of->add_look_up(text_.tokens(t.chunk), gradients);
      };
      t.pass = std::make_unique<infer::ReversePass>(
          model_, text_.tokens(t.chunk), options_.draws, t.hooks,
          [&t](int layer) -> const infer::Activations& { return t.hidden->before_lender(layer); });
      if (!sweeps_) progress_->advance(model_.layers());
    });
    results_.forward_seconds += seconds_since(start);
  }

  /// The original's hidden states before every block, from one sweep.
  void run_in_sweep() {
    infer::Sweep sweep{model_, {.context = text_.context(), .batch = text_.context()}, 0};
    for (Traveller& t : travellers_) {
      t.hidden = std::make_unique<HiddenStates>(model_, store_);
      sweep.begin(text_.tokens(t.chunk));
    }
    for (int block = 0; block <= model_.layers(); ++block) {
      reads_.will_need(block + 1);
      parallel_for(std::ssize(travellers_), [&](int64_t i) {
        check_cancelled();
        const auto s = static_cast<size_t>(i);
        travellers_[s].hidden->keep(sweep.hidden(s));
        if (block == model_.layers()) return;
        sweep.step(s);
        progress_->advance(1);
      });
      reads_.done_with(block);
    }
  }

  RowGradients* gradients_of(Traveller& traveller, const infer::Weight& weight) const {
    const auto found = index_.find(&weight);
    if (found == index_.end() || !wants(subjects_[found->second], traveller.chunk)) return nullptr;
    return &traveller.gradients.try_emplace(found->second, subjects_[found->second].sampled, options_.draws)
                .first->second;
  }

  void go(int stage) {
    check_cancelled();
    prepare(stage);
    const auto step = [&](int64_t i) {
      Traveller& t = travellers_[static_cast<size_t>(i)];
      if (stage == model_.layers())
        head(t);
      else if (stage == kLookUp)
        t.pass->embed();
      else
        t.pass->layer(stage, t.hidden->before(stage));
      for (auto& [subject, gradients] : t.gradients) gradients.rest(store_);
      if (stage != model_.layers() && stage != kLookUp) progress_->advance(1, str("block ", stage));
    };
    const int64_t count = std::ssize(travellers_), together = sweeps_ ? travellers_together(stage) : count;
    for (int64_t first = 0; first < count; first += together)
      parallel_for(std::min(together, count - first), [&](int64_t i) { step(first + i); });
    finish(stage);
    reads_.done_with(stage);
  }

  /// So many that what a stage shows of them, while it does, fits into their share of memory; one at least.
  int64_t travellers_together(int stage) const {
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

  void head(Traveller& t) const {
    t.pass->head(
        t.hidden->before(model_.layers()), text_.first_scored(),
        [&](int64_t first, const infer::Activations& logits) {
          if (!std::isfinite(infer::log_sum_exp(logits.row(0))))
            throw Error{"what the original predicts is no number", model_.source().path().string(), kDamaged};
          return score_gradients(logits, first, options_.draws, text_.digest(t.chunk));
        });
  }

  /// What is to be known of the tensors that a stage begins to show.
  void prepare(int stage) {
    for (Subject& s : subjects_)
      if (s.first == stage && s.sampled.energies.empty() && wants(s) && !has_row_per_token(model_, *s.tensor) &&
          !s.sampled.sample.whole())
        s.sampled.energies = row_energies(*s.tensor, s.importance);
  }

  /// What the formats do to the tensors that a stage was the last to show, and what that does to the output. Nothing of
  /// a stage is kept where part of it makes no sense.
  void finish(int stage) {
    const auto start = Clock::now();
    std::vector<std::pair<Subject*, int64_t>> done;  // and the chunk
    for (size_t i = 0; i < subjects_.size(); ++i)
      if (subjects_[i].last == stage) weigh(i, done);
    for (const auto& [subject, chunk] : done) {
      const auto& records = subject->records[static_cast<size_t>(chunk)];
      for (size_t f = 0; f < records.size(); ++f)
        state_.put(RecordKind::sensitivity, record_key(*subject, *subject->formats[f], chunk), to_payload(records[f]));
      results_.measured += std::ssize(records);
    }
    if (!done.empty()) state_.sync();
    results_.encoding_seconds += seconds_since(start);
  }

  void weigh(size_t i, std::vector<std::pair<Subject*, int64_t>>& done) {
    Subject& s = subjects_[i];
    std::vector<Traveller*> of;
    for (Traveller& t : travellers_)
      if (wants(s, t.chunk)) of.push_back(&t);
    if (of.empty()) return;
    std::vector<const RowGradients*> gradients;
    for (const Traveller* t : of) gradients.push_back(t->gradients_of(i));
    const auto squares = format_squares({*s.tensor, s.importance, s.formats, options_.effort}, s.sampled.sample, gradients);
    for (size_t t = 0; t < of.size(); ++t) {
      s.records[static_cast<size_t>(of[t]->chunk)] = records_of(s, squares[t], gradients[t]);
      of[t]->gradients.erase(i);
      done.emplace_back(&s, of[t]->chunk);
    }
  }

  std::vector<SensitivityRecord> records_of(const Subject& s, std::span<const double> squares,
                                            const RowGradients* gradients) const {
    const double covered = gradients ? gradients->covered() : 0, all = gradients ? gradients->all() : 0;
    std::vector<SensitivityRecord> records;
    for (size_t f = 0; f < s.formats.size(); ++f) {
      records.push_back({std::string(s.tensor->name), s.formats[f]->id, text_.scored(), options_.draws,
                         squares[f], covered, all});
      if (!is_sound(records.back()))
        throw Error{str("what the reverse pass says of '", s.tensor->name, "' is no number to compute with"),
                    model_.source().path().string(), kDamaged};
    }
    return records;
  }

  void summarise() {
    Hasher hasher;
    for (const Subject& s : subjects_) {
      TensorSensitivity of{{}, s.tensor->rows(), static_cast<int64_t>(s.sampled.sample.rows.size()), 0};
      of.chunks = std::ranges::count_if(s.records, [](const auto& records) { return !records.empty(); });
      if (of.chunks == 0) continue;
      hasher.add(s.tensor->name);
      for (size_t f = 0; f < s.formats.size(); ++f) {
        const Sensitivity found = of.formats[s.formats[f]->id] = s.estimate(f);
        hasher.add(static_cast<uint64_t>(s.formats[f]->id)).add(std::bit_cast<uint64_t>(found.loss));
      }
      results_.tensors.emplace(s.tensor->name, std::move(of));
    }
    results_.digest = hasher.finish().hex();
  }

  const infer::Model& model_;
  Store& state_;
  SensitivityOptions options_;
  TextChunks text_;
  std::vector<Subject> subjects_;
  std::map<const infer::Weight*, size_t> index_;
  const bool sweeps_ = !stays_in_memory(model_.source().bytes());
  /// Of the travellers' gradients, and of their hidden states where they go through the model together.
  infer::RowStore store_{sweeps_ ? memory_for(MemoryUse::hidden_states) : options_.memory_bytes};
  std::vector<Traveller> travellers_;
  infer::WeightReads reads_{model_};
  std::unique_ptr<Progress> progress_;
  SensitivityResults results_;
};

}  // namespace

SensitivityResults sensitivities(const infer::Model& model, const Importance* importance, Store& state,
                                 std::span<const int32_t> tokens, const SensitivityOptions& options) {
  return Sensing{model, importance, state, tokens, options}.run();
}

}  // namespace snug
