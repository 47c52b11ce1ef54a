#include "measure/probe.hpp"

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>

#include "base/digest.hpp"
#include "base/events.hpp"
#include "base/memory.hpp"
#include "base/parallel.hpp"
#include "base/progress.hpp"
#include "base/str.hpp"
#include "encode/encode_tensor.hpp"
#include "eval/divergence.hpp"
#include "measure/probe_record.hpp"
#include "measure/recipe_sweep.hpp"
#include "measure/reference_run.hpp"
#include "model/roles.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

/// About 3 bits: enough damage to stand out from the noise of few tokens, and still in the range where it
/// grows in proportion to rho. The first that fits is taken; those with short blocks are for awkward rows.
constexpr FormatId kProbeFormats[] = {FormatId::iq3_xxs, FormatId::q2_0, FormatId::q4_0};

const Format* probe_format(const Tensor& tensor) {
  for (const FormatId id : kProbeFormats) {
    const Format* format = find_format(id);
    if (format && format->fits(tensor.cols()) && format->row_bytes(tensor.cols()) < tensor.row_bytes())
      return format;
  }
  return nullptr;
}

/// One tensor and what is known of it.
struct Subject {
  const Tensor* tensor = nullptr;
  const TensorImportance* importance = nullptr;
  const Format* format = nullptr;
  int layer = 0;  // the first block that reads it
  Digest key;     // of everything but the chunk
  double rho = 0;
  std::vector<double> kl;  // of the first chunks

  double mean() const { return estimate().value; }
  infer::Estimate estimate() const {
    double sum = 0, squares = 0;
    for (const double k : kl) {
      sum += k;
      squares += k * k;
    }
    return infer::estimate(sum, squares, static_cast<int64_t>(kl.size()));
  }
};

class Prober {
 public:
  Prober(const infer::Model& model, const Importance* importance, Store& state,
         std::span<const int32_t> tokens, const ProbeOptions& options)
      : model_(model), state_(state), options_(options), base_(model, tokens, options) {
    const Digest contents = model.source().contents_digest();
    for (const Tensor& tensor : model.source().tensors()) {
      if (!is_quantizable(tensor) || !find_format(tensor.format) || !model.find(tensor.name)) continue;
      if (!options.only.empty() && std::ranges::count(options.only, tensor.name) == 0) continue;
      if (const Format* format = probe_format(tensor))
        add_subject(tensor, *format, importance ? importance->find(tensor.name) : nullptr, contents);
    }
  }

  ProbeResults run() {
    for (int64_t round = 1;; ++round) {
      const std::vector<int64_t> wanted = round == 1 ? first_wanted() : next_wanted();
      if (!extend(wanted, round) || options_.shards > 1) break;
    }
    return results();
  }

 private:
  void add_subject(const Tensor& tensor, const Format& format, const TensorImportance* importance,
                   const Digest& contents) {
    Hasher hasher;
    hasher.add("probe").add(uint64_t{kProbeVersion}).add(std::bit_cast<uint32_t>(kAlongRow)).add_array<uint8_t>(contents.bytes).add(tensor.name);
    hasher.add(static_cast<uint64_t>(format.id)).add(uint64_t{format.encoder_version});
    if (importance)
      hasher.add_array<float>(importance->mean_square)
          .add_array<float>(importance->mean)
          .add_array<float>(importance->counts);
    subjects_.push_back({&tensor, importance, &format, first_block_of(model_, tensor.name), hasher.finish(), 0, {}});
  }

  Digest key_of(const Subject& subject, int64_t chunk) const {
    const Digest digest = base_.chunk_digest(chunk);
    return Hasher{}.add_array<uint8_t>(subject.key.bytes).add_array<uint8_t>(digest.bytes).finish();
  }

  /// Of a sweep.
  Digest key_of(const std::vector<const Subject*>& probed, const std::vector<RecipeVariant>& variants) const {
    Hasher hasher;
    for (size_t v = 0; v < variants.size(); ++v)
      for (const int64_t chunk : variants[v].chunks) hasher.add_array<uint8_t>(key_of(*probed[v], chunk).bytes);
    return hasher.finish();
  }

  std::vector<int64_t> first_wanted() const {
    std::vector<int64_t> wanted(subjects_.size());
    for (size_t i = 0; i < wanted.size(); ++i)
      if (static_cast<int>(i % static_cast<size_t>(options_.shards)) == options_.shard)
        wanted[i] = std::min(options_.first_chunks, base_.chunks());
    return wanted;
  }

  /// Twice the chunks where the error, weighed by the tensor's share of the damage, is above what is allowed.
  /// What a plan loses by wrong alphas grows as the sum over tensors of share * (relative error)^2.
  std::vector<int64_t> next_wanted() const {
    double total = 0;
    for (const Subject& subject : subjects_) total += subject.mean();
    const double allowed =
        options_.precision * options_.precision * total / static_cast<double>(subjects_.size());
    std::vector<int64_t> wanted;
    for (const Subject& subject : subjects_) {
      const infer::Estimate kl = subject.estimate();
      const auto have = static_cast<int64_t>(subject.kl.size());
      const bool enough = kl.error * kl.error <= allowed * kl.value;
      wanted.push_back(enough ? have : std::min(base_.chunks(), 2 * have));
    }
    return wanted;
  }

  /// Takes what the state knows, probes the rest. False if nothing was wanted.
  bool extend(const std::vector<int64_t>& wanted, int64_t round) {
    int64_t missing = 0;
    for (size_t i = 0; i < subjects_.size(); ++i)
      missing += wanted[i] - static_cast<int64_t>(subjects_[i].kl.size());
    if (missing == 0) return false;
    if (!stays_in_memory(model_.source().bytes())) run_ahead(wanted);
    Progress progress{str("probing, round ", round), missing, Progress::Unit::items};
    for (size_t i = 0; i < subjects_.size(); ++i) {
      const auto have = static_cast<int64_t>(subjects_[i].kl.size());
      if (have == wanted[i]) continue;
      check_cancelled();
      const int64_t before = measured_;
      extend(subjects_[i], wanted[i]);
      const int64_t fresh = measured_ - before;
      if (wanted[i] - have > fresh) progress.advance_known(wanted[i] - have - fresh);
      if (fresh > 0) progress.advance(fresh, std::string(subjects_[i].tensor->name));
    }
    return true;
  }

  /// Of a model that is read from the disk each time: all that the state does not know, in one sweep.
  void run_ahead(const std::vector<int64_t>& wanted) {
    std::vector<RecipeVariant> variants;
    std::vector<const Subject*> probed;
    for (size_t i = 0; i < subjects_.size(); ++i) {
      RecipeVariant variant{std::string{subjects_[i].tensor->name}, subjects_[i].format};
      for (auto c = static_cast<int64_t>(subjects_[i].kl.size()); c < wanted[i]; ++c)
        if (!state_.get(RecordKind::probe, key_of(subjects_[i], c))) variant.chunks.push_back(c);
      if (variant.chunks.empty()) continue;
      variants.push_back(std::move(variant));
      probed.push_back(&subjects_[i]);
    }
    if (variants.empty()) return;
    std::map<std::string_view, double> rho;
    const auto encode = [&](const Tensor& tensor, const Format& format) {
      const auto subject = std::ranges::find(probed, tensor.name, [](const Subject* s) { return s->tensor->name; });
      Encoded encoded = encode_tensor(tensor, format, (*subject)->importance);
      rho[tensor.name] = encoded.rho;
      return encoded;
    };
    const auto start = std::chrono::steady_clock::now();
    const auto found = sweep_recipe(model_, base_.text(), {}, encode, variants, {options_.resume, key_of(probed, variants)});
    for (size_t v = 0; v < variants.size(); ++v) {
      const Tensor& tensor = *probed[v]->tensor;
      if (!rho.contains(tensor.name)) encode(tensor, *probed[v]->format);  // before the sweep was stopped, and went on
      for (size_t i = 0; i < variants[v].chunks.size(); ++i)
        state_.put(RecordKind::probe, key_of(*probed[v], variants[v].chunks[i]),
                   to_payload({variants[v].tensor, probed[v]->format->id, base_.scored(), found[v][i].kl, rho.at(tensor.name)}));
    }
    state_.sync();
    for (const RecipeVariant& variant : variants) {
      measured_ += std::ssize(variant.chunks);
      reused_ -= std::ssize(variant.chunks);  // they will be found in the state
    }
    seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }

  void extend(Subject& subject, int64_t wanted) {
    std::vector<int64_t> unknown;
    for (auto c = static_cast<int64_t>(subject.kl.size()); c < wanted; ++c) {
      subject.kl.push_back(0);
      if (!recall(subject, c)) unknown.push_back(c);
    }
    if (unknown.empty()) return;
    base_.prepare(unknown.back() + 1);
    const auto start = std::chrono::steady_clock::now();
    const Encoded encoded = encode_tensor(*subject.tensor, *subject.format, subject.importance);
    subject.rho = encoded.rho;
    parallel_for(static_cast<int64_t>(unknown.size()), [&](int64_t i) {
      const int64_t chunk = unknown[static_cast<size_t>(i)];
      subject.kl[static_cast<size_t>(chunk)] = base_.divergence(encoded, subject.layer, chunk);
    });
    for (const int64_t c : unknown)
      state_.put(RecordKind::probe, key_of(subject, c),
                 to_payload({std::string(subject.tensor->name), subject.format->id, base_.scored(),
                             subject.kl[static_cast<size_t>(c)], subject.rho}));
    state_.sync();
    measured_ += static_cast<int64_t>(unknown.size());
    seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }

  bool recall(Subject& subject, int64_t chunk) {
    const auto payload = state_.get(RecordKind::probe, key_of(subject, chunk));
    if (!payload) return false;
    const ProbeRecord record = parse_probe(*payload);
    if (record.tensor != subject.tensor->name || record.format != subject.format->id) return false;
    subject.kl[static_cast<size_t>(chunk)] = record.kl;
    subject.rho = record.rho;
    ++reused_;
    return true;
  }

  ProbeResults results() const {
    ProbeResults results;
    Hasher hasher;
    for (const Subject& subject : subjects_) {
      if (!(subject.rho > 0)) continue;  // stored without loss: nothing to learn
      const infer::Estimate kl = subject.estimate();
      results.tensors[std::string(subject.tensor->name)] = {subject.format->id,
                                                            kl.value / subject.rho,
                                                            kl.error / subject.rho,
                                                            kl.value,
                                                            subject.rho,
                                                            static_cast<int64_t>(subject.kl.size())};
      hasher.add(subject.tensor->name).add_array<double>(subject.kl).add_array<double>({&subject.rho, 1});
    }
    results.digest = hasher.finish().hex();
    results.measured = measured_;
    results.reused = reused_;
    results.seconds = seconds_;
    const double pass = base_.seconds_per_chunk() * static_cast<double>(base_.chunks());
    if (pass > 0) results.forward_passes = seconds_ / pass;
    return results;
  }

  const infer::Model& model_;
  Store& state_;
  ProbeOptions options_;
  ReferenceRun base_;
  std::vector<Subject> subjects_;
  int64_t measured_ = 0, reused_ = 0;
  double seconds_ = 0;
};

}  // namespace

ProbeResults probe(const infer::Model& model, const Importance* importance, Store& state,
                   std::span<const int32_t> tokens, const ProbeOptions& options) {
  return Prober{model, importance, state, tokens, options}.run();
}

}  // namespace snug
