#include "measure/sensitivity/sensitivity.hpp"

#include <algorithm>
#include <bit>
#include <chrono>
#include <tuple>
#include <utility>

#include "base/digest.hpp"
#include "base/progress.hpp"
#include "base/str.hpp"
#include "encode/candidates.hpp"
#include "infer/reverse/reverse_pass.hpp"
#include "measure/sensitivity/format_squares.hpp"
#include "measure/sensitivity/sensitivity_subject.hpp"
#include "measure/sensitivity/travellers.hpp"
#include "measure/text_chunks.hpp"
#include "model/roles.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

using Clock = std::chrono::steady_clock;

/// Tokens that go through a model together: what waits of them between two blocks lies on the disk beyond memory.
constexpr int64_t kTokensTogether = 8192;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

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
    for (int64_t c = 0; c < text_.chunks(); ++c) subject.asked.push_back(c % options_.shards == options_.shard);
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

  bool is_of(const SensitivityRecord& record, const Subject& subject, const Format& format) const {
    return record.tensor == subject.tensor->name && record.format == format.id &&
           record.tokens == text_.scored() && record.draws == options_.draws;
  }

  void recall(Subject& subject) {
    for (int64_t c = 0; c < text_.chunks(); ++c) {
      if (!subject.wants(c)) continue;
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

  bool wants_any(const Subject& subject) const {
    for (int64_t c = 0; c < text_.chunks(); ++c)
      if (subject.wants(c)) return true;
    return false;
  }

  /// The last stage that something is wanted of; beyond all stages where nothing is.
  int last_stage() const {
    int stage = model_.layers() + 1;
    for (const Subject& subject : subjects_)
      if (wants_any(subject)) stage = std::min(stage, subject.last);
    return stage;
  }

  std::vector<int64_t> wanted_chunks() const {
    std::vector<int64_t> chunks;
    for (int64_t c = 0; c < text_.chunks(); ++c)
      if (std::ranges::any_of(subjects_, [&](const Subject& s) { return s.wants(c); })) chunks.push_back(c);
    return chunks;
  }

  void go_there_and_back(std::span<const int64_t> chunks) {
    const int end = last_stage();
    const int64_t steps = std::ssize(chunks) * (2 * model_.layers() - std::max(end, 0));
    Progress progress{"sensitivity", steps, Progress::Unit::items};
    Travellers travellers{model_, text_, subjects_, options_, progress};
    const auto together = static_cast<size_t>(std::max<int64_t>(1, kTokensTogether / text_.context()));
    for (; !chunks.empty(); chunks = chunks.subspan(std::min(together, chunks.size()))) {
      for (int stage = travellers.set_out(chunks.first(std::min(together, chunks.size()))); stage >= end; --stage) {
        prepare(stage);
        travellers.go(stage);
        finish(stage, travellers.all());
        travellers.reads().done_with(stage);
        if (stage > end) travellers.save(stage - 1);
      }
      travellers.arrive();
    }
    results_.forward_seconds = travellers.forward_seconds();
    travellers.reads().tell("the way there and back");
  }

  /// What is to be known of the tensors that a stage begins to show.
  void prepare(int stage) {
    for (Subject& s : subjects_)
      if (s.first >= stage && s.last <= stage && s.sampled.energies.empty() && wants_any(s) &&
          !has_row_per_token(model_, *s.tensor) && !s.sampled.sample.whole())
        s.sampled.energies = row_energies(*s.tensor, s.importance);
  }

  /// What the formats do to the tensors that a stage was the last to show, and what that does to the output. Nothing of
  /// a stage is kept where part of it makes no sense.
  void finish(int stage, std::vector<Traveller>& travellers) {
    const auto start = Clock::now();
    std::vector<std::pair<Subject*, int64_t>> done;  // and the chunk
    for (size_t i = 0; i < subjects_.size(); ++i)
      if (subjects_[i].last == stage) weigh(i, travellers, done);
    for (const auto& [subject, chunk] : done) {
      const auto& records = subject->records[static_cast<size_t>(chunk)];
      for (size_t f = 0; f < records.size(); ++f)
        state_.put(RecordKind::sensitivity, record_key(*subject, *subject->formats[f], chunk), to_payload(records[f]));
      results_.measured += std::ssize(records);
    }
    if (!done.empty()) state_.sync();
    results_.encoding_seconds += seconds_since(start);
  }

  void weigh(size_t i, std::vector<Traveller>& travellers, std::vector<std::pair<Subject*, int64_t>>& done) {
    Subject& s = subjects_[i];
    std::vector<Traveller*> of;
    for (Traveller& t : travellers)
      if (s.wants(t.chunk)) of.push_back(&t);
    if (of.empty()) return;
    std::vector<const RowGradients*> gradients;
    for (const Traveller* t : of) gradients.push_back(t->gradients_of(i));
    const FormatErrors errors{*s.tensor, s.importance, s.formats, options_.effort};
    const auto squares = format_squares(errors, s.sampled.sample, gradients);
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
                    model_.source().path().string(), kDamagedModel};
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
  SensitivityResults results_;
};

}  // namespace

SensitivityResults sensitivities(const infer::Model& model, const Importance* importance, Store& state,
                                 std::span<const int32_t> tokens, const SensitivityOptions& options) {
  return Sensing{model, importance, state, tokens, options}.run();
}

}  // namespace snug
