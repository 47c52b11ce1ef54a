#include "measure/recipe_evaluator.hpp"

#include <algorithm>
#include <bit>

#include "base/digest.hpp"
#include "base/events.hpp"
#include "base/parallel.hpp"
#include "encode/encode_tensor.hpp"
#include "measure/measure.hpp"
#include "measure/probe_record.hpp"

namespace snug {
namespace {

/// Raised when the same recipe on the same text would give other figures.
constexpr uint32_t kJudgeVersion = 1;
/// Raised when encode_second_order() gives other bytes.
constexpr uint32_t kFeedbackVersion = 2;

}  // namespace

RecipeEvaluator::RecipeEvaluator(const infer::Model& model, const Importance* importance, Effort effort,
                                 Store& state, std::span<const int32_t> tokens, const ProbeOptions& options)
    : model_(model), importance_(importance), effort_(effort), state_(state), base_(model, tokens, options) {
  Hasher hasher;
  hasher.add("recipe").add(uint64_t{kJudgeVersion}).add(std::bit_cast<uint32_t>(kAlongRow));
  hasher.add_array<uint8_t>(model.source().contents_digest().bytes);
  hasher.add(importance ? importance_digest(*importance) : "").add(static_cast<uint64_t>(effort));
  origin_ = hasher.finish();
}

void RecipeEvaluator::set_moments(const Hessians* moments) {
  base_.set_overrides({});
  ground_.clear();
  encoded_.clear();
  curvatures_.reset();
  if (!moments) return;
  curvatures_.emplace(*moments);
  Hasher hasher;
  for (const auto& [input, moment] : moments->inputs())
    hasher.add(input).add_array<float>(moment.counts).add_array<float>(moment.sums);
  moments_digest_ = hasher.finish();
}

Digest RecipeEvaluator::key_of(const TensorFormats& formats, std::string_view without) const {
  Hasher hasher;
  hasher.add_array<uint8_t>(origin_.bytes).add(without);
  if (curvatures_)
    hasher.add("error feedback").add(uint64_t{kFeedbackVersion}).add_array<uint8_t>(moments_digest_.bytes);
  for (const auto& [name, id] : formats)
    hasher.add(name).add(static_cast<uint64_t>(id)).add(uint64_t{find_format(id)->encoder_version});
  return hasher.finish();
}

/// Encodes what is not encoded yet, lets go of what `formats` has no use for, and runs the recipe on the
/// first chunks.
void RecipeEvaluator::stand_on(const TensorFormats& formats, int64_t chunks) {
  if (ground_ != formats) {
    base_.set_overrides({});
    std::erase_if(encoded_, [&](const auto& entry) {
      const auto found = formats.find(entry.first.first);
      return found == formats.end() || found->second != entry.first.second;
    });
    std::vector<const Encoded*> ground;
    for (const auto& [name, id] : formats) {
      check_cancelled();
      std::unique_ptr<Encoded>& entry = encoded_[{name, id}];
      if (!entry)
        entry = std::make_unique<Encoded>(encode_tensor(*model_.source().find(name), *find_format(id),
                                                        importance_ ? importance_->find(name) : nullptr,
                                                        effort_, curvatures_ ? &*curvatures_ : nullptr));
      ground.push_back(entry.get());
    }
    base_.set_overrides(std::move(ground));
    ground_ = formats;
  }
  base_.prepare(chunks);
}

TensorFormats RecipeEvaluator::only_run(const TensorFormats& formats) const {
  TensorFormats used = formats;
  std::erase_if(used, [&](const auto& tensor) { return !runs(tensor.first); });
  return used;
}

std::vector<double> RecipeEvaluator::measure(const TensorFormats& all, std::string_view without,
                                             int64_t first, int64_t last) {
  const TensorFormats formats = only_run(all);
  const Digest recipe = key_of(formats, without);
  std::vector<double> kl(static_cast<size_t>(last - first));
  std::vector<int64_t> unknown;
  std::vector<Digest> keys;
  for (int64_t c = first; c < last; ++c) {
    const Digest chunk = base_.chunk_digest(c);
    keys.push_back(Hasher{}.add_array<uint8_t>(recipe.bytes).add_array<uint8_t>(chunk.bytes).finish());
    if (const auto payload = state_.get(RecordKind::evaluation, keys.back()))
      kl[static_cast<size_t>(c - first)] = parse_probe(*payload).kl;
    else
      unknown.push_back(c);
  }
  if (unknown.empty()) return kl;
  stand_on(formats, last);
  parallel_for(static_cast<int64_t>(unknown.size()), [&](int64_t i) {
    check_cancelled();
    const int64_t chunk = unknown[static_cast<size_t>(i)];
    kl[static_cast<size_t>(chunk - first)] =
        without.empty() ? base_.overridden_divergence(chunk)
                        : base_.divergence_without(without, first_block_of(model_, without), chunk);
  });
  for (const int64_t c : unknown)
    state_.put(RecordKind::evaluation, keys[static_cast<size_t>(c - first)],
               to_payload({std::string(without), FormatId::f32, base_.scored(),
                           kl[static_cast<size_t>(c - first)], 0}));
  state_.sync();
  return kl;
}

std::vector<double> RecipeEvaluator::divergence(const TensorFormats& formats, int64_t first, int64_t last) {
  return measure(formats, "", first, last);
}

std::vector<double> RecipeEvaluator::divergence_without(const TensorFormats& formats, std::string_view tensor,
                                                        int64_t first, int64_t last) {
  return measure(formats, tensor, first, last);
}

infer::Estimate mean_of(std::span<const double> chunks) {
  double sum = 0, squares = 0;
  for (const double kl : chunks) {
    sum += kl;
    squares += kl * kl;
  }
  return infer::estimate(sum, squares, static_cast<int64_t>(chunks.size()));
}

infer::Estimate paired_difference(std::span<const double> a, std::span<const double> b) {
  std::vector<double> differences;
  for (size_t i = 0; i < a.size(); ++i) differences.push_back(a[i] - b[i]);
  return mean_of(differences);
}

}  // namespace snug
