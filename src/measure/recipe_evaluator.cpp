#include "measure/recipe_evaluator.hpp"

#include <algorithm>
#include <bit>

#include "base/digest.hpp"
#include "base/events.hpp"
#include "base/files/mapped_file.hpp"
#include "base/memory.hpp"
#include "base/parallel.hpp"
#include "base/progress.hpp"
#include "encode/encode_tensor.hpp"
#include "measure/measure.hpp"
#include "measure/probe_record.hpp"
#include "quant/feedback/second_order.hpp"

namespace snug {
namespace {

/// Raised when the same recipe on the same text would give other figures.
constexpr uint32_t kJudgeVersion = 1;
/// Raised when encode_second_order() gives other bytes.
constexpr uint32_t kFeedbackVersion = 2;

}  // namespace

RecipeEvaluator::RecipeEvaluator(const infer::Model& model, const Importance* importance, Effort effort,
                                 Store& state, std::span<const int32_t> tokens, const ProbeOptions& options)
    : model_(model), importance_(importance), effort_(effort), state_(state), base_(model, tokens, options), resume_(options.resume) {
  Hasher hasher;
  hasher.add("recipe").add(uint64_t{kJudgeVersion}).add(std::bit_cast<uint32_t>(kAlongRow));
  hasher.add_array<uint8_t>(model.source().contents_digest().bytes);
  hasher.add(importance ? importance_digest(*importance) : "").add(static_cast<uint64_t>(effort));
  origin_ = hasher.finish();
}

void RecipeEvaluator::set_moments(const Hessians* moments) {
  base_.set_overrides({});
  ground_.clear();
  feedback_ = moments != nullptr;
  if (!moments) return;
  Hasher hasher;
  for (const auto& [input, moment] : moments->inputs()) {
    hasher.add(input).add_array<float>(moment.counts).add_array<float>(moment.sums);
    MappedFile::done_with(std::as_bytes(moment.sums));
  }
  const Digest digest = hasher.finish();
  if (curvatures_ && moments == moments_ && digest == moments_digest_) return;
  encoded_.forget_feedback();
  moments_ = moments;
  moments_digest_ = digest;
  curvatures_.emplace(*moments);
}

Digest RecipeEvaluator::key_of(const TensorFormats& formats, std::string_view without) const {
  Hasher hasher;
  hasher.add_array<uint8_t>(origin_.bytes).add(without);
  if (feedback_)
    hasher.add("error feedback").add(uint64_t{kFeedbackVersion}).add_array<uint8_t>(moments_digest_.bytes);
  for (const auto& [name, id] : formats)
    hasher.add(name).add(static_cast<uint64_t>(id)).add(uint64_t{find_format(id)->encoder_version});
  return hasher.finish();
}

/// What no moments are known of is encoded alike with feedback and without.
EncodedTensors::Key RecipeEvaluator::encoding_of(std::string_view tensor, FormatId format) const {
  const bool feedback = feedback_ && has_second_order(*find_format(format)) && moments_->find(tensor);
  return {std::string{tensor}, format, feedback};
}

/// Lets go of what there is no room for, then encodes what is not encoded yet.
void RecipeEvaluator::stand_on(const TensorFormats& formats, Progress* progress) {
  if (ground_ == formats) return;
  base_.set_overrides({});
  ground_.clear();
  decoded_.clear();
  in_place_.clear();
  for (const auto& [name, id] : formats) in_place_.push_back(encoded_.find(encoding_of(name, id)));
  hold_kept();
  encoded_.keep_within(std::min(room_beside(formats), kKeptModels * model_.source().bytes()));
  auto tensor = in_place_.begin();
  for (const auto& [name, id] : formats) {
    check_cancelled();
    if (!*tensor) *tensor = encoded_.add(encoding_of(name, id), encoded(*model_.source().find(name), *find_format(id)));
    ++tensor;
    if (progress) progress->advance(1, name);
  }
  put_in_place(formats);
}

/// Decoded where there is room: each chunk is multiplied with all of them.
void RecipeEvaluator::put_in_place(const TensorFormats& formats) {
  int64_t weights = 0;
  for (const auto& [name, id] : formats) weights += model_.source().find(name)->weights();
  if (weights * int64_t{sizeof(float)} <= room_beside(formats))
    for (const EncodedTensors::Held& tensor : in_place_)
      decoded_.push_back(decoded(*tensor, model_.source().find(tensor->tensor)->cols()));
  std::vector<const Encoded*> ground;
  for (size_t i = 0; i < in_place_.size(); ++i) ground.push_back(decoded_.empty() ? in_place_[i].get() : &decoded_[i]);
  base_.set_overrides(std::move(ground));
  ground_ = formats;
}

void RecipeEvaluator::keep_encoded(const TensorFormats& formats) {
  kept_.clear();
  for (const auto& [name, format] : only_run(formats)) kept_.push_back(encoding_of(name, format));
  hold_kept();
}

void RecipeEvaluator::hold_kept() {
  held_.clear();
  for (const EncodedTensors::Key& key : kept_)
    if (EncodedTensors::Held tensor = encoded_.find(key)) held_.push_back(std::move(tensor));
}

std::span<const std::byte> RecipeEvaluator::blocks_of(std::string_view tensor, FormatId format) {
  const EncodedTensors::Held found = encoded_.find(encoding_of(tensor, format));
  return found ? std::span<const std::byte>{found->data} : std::span<const std::byte>{};
}

TensorFormats RecipeEvaluator::only_run(const TensorFormats& formats) const {
  TensorFormats used = formats;
  std::erase_if(used, [&](const auto& tensor) { return !runs(tensor.first); });
  return used;
}

Encoded RecipeEvaluator::encoded(const Tensor& tensor, const Format& format) {
  const EncodedTensors::Held plain = encoded_.find({std::string{tensor.name}, format.id, false});
  return encode_tensor(tensor, format, importance_ ? importance_->find(tensor.name) : nullptr, effort_,
                       feedback_ ? &*curvatures_ : nullptr, plain ? plain->data : std::span<const std::byte>{});
}

std::vector<RecipeEvaluator::Wanted> RecipeEvaluator::wanted(const Digest& recipe, int64_t first, int64_t last) const {
  std::vector<Wanted> figures;
  for (int64_t c = first; c < last; ++c) {
    const Digest chunk = base_.chunk_digest(c);
    Wanted& figure = figures.emplace_back();
    figure.chunk = c;
    figure.key = Hasher{}.add_array<uint8_t>(recipe.bytes).add_array<uint8_t>(chunk.bytes).finish();
    if (const auto payload = state_.get(RecordKind::evaluation, figure.key)) figure.known = parse_probe(*payload).kl;
  }
  return figures;
}

/// The divergence last: a run is known by it, and what else it told is there then.
void RecipeEvaluator::keep(const Wanted& figure, std::string_view without, const ChunkComparison& found) {
  if (without.empty()) state_.put(RecordKind::comparison, figure.key, to_payload(found));
  state_.put(RecordKind::evaluation, figure.key,
             to_payload({std::string(without), FormatId::f32, base_.scored(), found.kl, 0}));
}

/// The model and the encoded tensors of two recipes, the best so far and another.
int64_t RecipeEvaluator::bytes_with(const TensorFormats& formats) const {
  int64_t bytes = model_.source().bytes();
  for (const auto& [name, format] : formats)
    if (const Tensor* tensor = model_.source().find(name))
      bytes += 2 * tensor->rows() * find_format(format)->row_bytes(tensor->cols());
  return bytes;
}

bool RecipeEvaluator::sweeps(const TensorFormats& formats) const {
  return !stays_in_memory(bytes_with(formats));
}

/// For tensors of other recipes, and as much again for those of this one decoded.
int64_t RecipeEvaluator::room_beside(const TensorFormats& formats) const {
  const int64_t left = memory_for(MemoryUse::all) - bytes_with(formats);
  return std::max<int64_t>(0, std::min(left, memory_for(MemoryUse::encodings)) / 2);
}

/// Of judging: a tensor to get ready, a chunk to run.
int64_t RecipeEvaluator::items_of(const TensorFormats& formats, int64_t chunks) const {
  return (ground_ == formats ? 0 : std::ssize(formats)) + chunks;
}

void RecipeEvaluator::run_in_memory(const TensorFormats& formats, std::string_view without,
                                    std::vector<Wanted>& figures) {
  std::vector<Wanted*> unknown;
  std::vector<int64_t> chunks;
  for (Wanted& figure : figures) {
    if (figure.known) continue;
    unknown.push_back(&figure);
    chunks.push_back(figure.chunk);
  }
  std::optional<Progress> progress;  // correcting, which asks for what is without a tensor, has its own
  if (without.empty()) progress.emplace("judging", items_of(formats, std::ssize(unknown)), Progress::Unit::items);
  stand_on(formats, progress ? &*progress : nullptr);
  base_.prepare(chunks);
  std::vector<ChunkComparison> found(unknown.size());
  parallel_for(std::ssize(unknown), [&](int64_t i) {
    check_cancelled();
    const auto at = static_cast<size_t>(i);
    const int64_t chunk = unknown[at]->chunk;
    found[at] = without.empty() ? base_.overridden_comparison(chunk)
                                : base_.comparison_without(without, first_block_of(model_, without), chunk);
    if (progress) progress->advance(1);
  });
  for (size_t i = 0; i < unknown.size(); ++i) {
    unknown[i]->known = found[i].kl;
    keep(*unknown[i], without, found[i]);
  }
  state_.sync();
}

/// figures[i]: of the recipe without without[i].
void RecipeEvaluator::run_in_sweep(const TensorFormats& formats, std::span<const std::string> without,
                                   std::vector<std::vector<Wanted>>& figures) {
  std::vector<RecipeVariant> variants;
  Hasher key;
  for (size_t i = 0; i < figures.size(); ++i) {
    variants.push_back({.tensor = without[i]});
    for (const Wanted& figure : figures[i]) {
      if (figure.known) continue;
      variants.back().chunks.push_back(figure.chunk);
      key.add_array<uint8_t>(figure.key.bytes);
    }
  }
  const auto encode = [&](const Tensor& tensor, const Format& format) { return encoded(tensor, format); };
  const auto found = sweep_recipe(model_, base_.text(), formats, encode, variants, {resume_, key.finish()});
  for (size_t i = 0; i < figures.size(); ++i) {
    auto next = found[i].begin();
    for (Wanted& figure : figures[i]) {
      if (figure.known) continue;
      figure.known = next->kl;
      keep(figure, without[i], *next++);
    }
  }
  state_.sync();
}

std::vector<double> RecipeEvaluator::measure(const TensorFormats& all, std::string_view without,
                                             int64_t first, int64_t last) {
  const TensorFormats formats = only_run(all);
  std::vector<Wanted> figures = wanted(key_of(formats, without), first, last);
  if (!std::ranges::all_of(figures, [](const Wanted& f) { return f.known.has_value(); })) {
    if (sweeps(formats)) {
      std::vector<std::vector<Wanted>> one{std::move(figures)};
      const std::string tensor{without};
      run_in_sweep(formats, {&tensor, 1}, one);
      figures = std::move(one.front());
    } else {
      run_in_memory(formats, without, figures);
    }
  }
  std::vector<double> kl;
  for (const Wanted& figure : figures) kl.push_back(*figure.known);
  return kl;
}

void RecipeEvaluator::run_ahead(const TensorFormats& all, const std::vector<std::string>& without, int64_t first,
                                int64_t last) {
  const TensorFormats formats = only_run(all);
  if (!sweeps(formats)) return;
  std::vector<std::string> tensors;
  std::vector<std::vector<Wanted>> figures;
  for (const std::string& tensor : without) {
    std::vector<Wanted> of = wanted(key_of(formats, tensor), first, last);
    if (std::ranges::all_of(of, [](const Wanted& f) { return f.known.has_value(); })) continue;
    tensors.push_back(tensor);
    figures.push_back(std::move(of));
  }
  if (!figures.empty()) run_in_sweep(formats, tensors, figures);
}

std::vector<double> RecipeEvaluator::divergence(const TensorFormats& formats, int64_t first, int64_t last) {
  return measure(formats, "", first, last);
}

std::vector<double> RecipeEvaluator::divergence_without(const TensorFormats& formats, std::string_view tensor,
                                                        int64_t first, int64_t last) {
  return measure(formats, tensor, first, last);
}

std::optional<TextScores> RecipeEvaluator::scores(const TensorFormats& formats, int64_t first, int64_t last) const {
  std::vector<ChunkComparison> chunks;
  for (const Wanted& figure : wanted(key_of(only_run(formats), ""), first, last)) {
    const auto payload = state_.get(RecordKind::comparison, figure.key);
    if (!payload) return std::nullopt;
    chunks.push_back(parse_comparison(*payload));
  }
  return scores_of(chunks);
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
