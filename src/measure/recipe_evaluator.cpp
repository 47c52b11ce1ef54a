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
#include "infer/reverse/reverse_pass.hpp"
#include "measure/encoded_block.hpp"
#include "measure/measure.hpp"
#include "measure/probe_record.hpp"

namespace snug {
namespace {

/// Raised when the same recipe on the same text would give other figures.
constexpr uint32_t kJudgeVersion = 1;
/// Raised when encode_second_order() gives other bytes.
constexpr uint32_t kFeedbackVersion = 2;
/// Raised when recipe_slopes() gives other figures.
constexpr uint32_t kSlopeVersion = 1;

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
  encoded_.clear();
  curvatures_.reset();
  if (!moments) return;
  curvatures_.emplace(*moments);
  Hasher hasher;
  for (const auto& [input, moment] : moments->inputs()) {
    hasher.add(input).add_array<float>(moment.counts).add_array<float>(moment.sums);
    MappedFile::done_with(std::as_bytes(moment.sums));
  }
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

/// Encodes what is not encoded yet and lets go of what `formats` has no use for.
void RecipeEvaluator::stand_on(const TensorFormats& formats, Progress* progress) {
  if (ground_ == formats) return;
  base_.set_overrides({});
  const auto has = [](const TensorFormats& recipe, const std::pair<std::string, FormatId>& tensor) {
    const auto found = recipe.find(tensor.first);
    return found != recipe.end() && found->second == tensor.second;
  };
  std::erase_if(encoded_, [&](const auto& entry) { return !has(formats, entry.first) && !has(kept_, entry.first); });
  std::vector<const Encoded*> ground;
  for (const auto& [name, id] : formats) {
    check_cancelled();
    std::unique_ptr<Encoded>& entry = encoded_[{name, id}];
    if (!entry) entry = std::make_unique<Encoded>(encoded(*model_.source().find(name), *find_format(id)));
    ground.push_back(entry.get());
    if (progress) progress->advance(1, name);
  }
  base_.set_overrides(std::move(ground));
  ground_ = formats;
}

std::span<const std::byte> RecipeEvaluator::blocks_of(std::string_view tensor, FormatId format) const {
  const auto found = encoded_.find({std::string{tensor}, format});
  if (found == encoded_.end()) return {};
  return found->second->data;
}

TensorFormats RecipeEvaluator::only_run(const TensorFormats& formats) const {
  TensorFormats used = formats;
  std::erase_if(used, [&](const auto& tensor) { return !runs(tensor.first); });
  return used;
}

Encoded RecipeEvaluator::encoded(const Tensor& tensor, const Format& format) {
  return encode_tensor(tensor, format, importance_ ? importance_->find(tensor.name) : nullptr, effort_,
                       curvatures_ ? &*curvatures_ : nullptr);
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

void RecipeEvaluator::keep(const Wanted& figure, std::string_view tensor, double nats) {
  state_.put(RecordKind::evaluation, figure.key,
             to_payload({std::string(tensor), FormatId::f32, base_.scored(), nats, 0}));
}

/// Whether the model and the encoded tensors of two recipes, the best so far and another, are too much to keep.
bool RecipeEvaluator::sweeps(const TensorFormats& formats) const {
  int64_t bytes = model_.source().bytes();
  for (const auto& [name, format] : formats)
    if (const Tensor* tensor = model_.source().find(name))
      bytes += 2 * tensor->rows() * find_format(format)->row_bytes(tensor->cols());
  return !stays_in_memory(bytes);
}

/// Of judging: a tensor to get ready, a chunk to run.
int64_t RecipeEvaluator::items_of(const TensorFormats& formats, int64_t chunks) const {
  return (ground_ == formats ? 0 : std::ssize(formats)) + chunks;
}

void RecipeEvaluator::run_in_memory(const TensorFormats& formats, std::string_view without, int64_t last,
                                    std::vector<Wanted>& figures) {
  std::vector<Wanted*> unknown;
  for (Wanted& figure : figures)
    if (!figure.known) unknown.push_back(&figure);
  std::optional<Progress> progress;  // correcting, which asks for what is without a tensor, has its own
  if (without.empty()) progress.emplace("judging", items_of(formats, std::ssize(unknown)), Progress::Unit::items);
  stand_on(formats, progress ? &*progress : nullptr);
  base_.prepare(last);
  parallel_for(std::ssize(unknown), [&](int64_t i) {
    check_cancelled();
    Wanted& figure = *unknown[static_cast<size_t>(i)];
    figure.known = without.empty()
                       ? base_.overridden_divergence(figure.chunk)
                       : base_.divergence_without(without, first_block_of(model_, without), figure.chunk);
    if (progress) progress->advance(1);
  });
  for (const Wanted* figure : unknown) keep(*figure, without, *figure->known);
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
      figure.known = *next++;
      keep(figure, without[i], *figure.known);
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
      run_in_memory(formats, without, last, figures);
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

/// By tensor. The keys are those of the recipe and of what is asked of it.
std::map<std::string, std::vector<RecipeEvaluator::Wanted>, std::less<>> RecipeEvaluator::wanted_slopes(
    const TensorFormats& formats, int64_t first, int64_t last) const {
  const Digest recipe = key_of(formats, "");
  std::map<std::string, std::vector<Wanted>, std::less<>> figures;
  for (const auto& [name, format] : formats) {
    if (!infer::differentiable(model_, name)) continue;
    const Digest slope = Hasher{}.add_array<uint8_t>(recipe.bytes).add("slope").add(uint64_t{kSlopeVersion}).add(name).finish();
    figures.emplace(name, wanted(slope, first, last));
  }
  return figures;
}

std::vector<Slopes> RecipeEvaluator::run_slopes(const TensorFormats& formats, std::span<const int64_t> chunks) {
  if (sweeps(formats)) {
    RecipeBlocks blocks{model_, formats, [this](const Tensor& tensor, const Format& format) {
                          return encoded(tensor, format);
                        }};
    return recipe_slopes(model_, base_.text(), chunks,
                         [&](int block) -> const infer::Replacements& { return blocks.of(block); });
  }
  stand_on(formats, nullptr);
  infer::Replacements all;
  for (const auto& [name, id] : formats) {
    const Encoded& tensor = *encoded_.at({name, id});
    all.emplace(model_.find(name), infer::stand_in(model_, name, *tensor.format, tensor.data));
  }
  return recipe_slopes(model_, base_.text(), chunks, [&](int) -> const infer::Replacements& { return all; });
}

Slopes RecipeEvaluator::slopes(const TensorFormats& all, int64_t first, int64_t last) {
  const TensorFormats formats = only_run(all);
  auto figures = wanted_slopes(formats, first, last);
  std::vector<int64_t> unknown;
  for (int64_t c = first; c < last; ++c)
    if (std::ranges::any_of(figures, [&](const auto& of) { return !of.second[static_cast<size_t>(c - first)].known; }))
      unknown.push_back(c);
  if (!unknown.empty()) {
    const std::vector<Slopes> found = run_slopes(formats, unknown);
    for (size_t i = 0; i < unknown.size(); ++i)
      for (auto& [name, of] : figures) {
        Wanted& figure = of[static_cast<size_t>(unknown[i] - first)];
        const auto slope = found[i].find(name);
        figure.known = slope == found[i].end() ? 0 : slope->second;  // an expert that no token went to
        keep(figure, name, *figure.known);
      }
    state_.sync();
  }
  Slopes means;
  for (const auto& [name, of] : figures) {
    double sum = 0;
    for (const Wanted& figure : of) sum += *figure.known;
    means[name] = sum / static_cast<double>(last - first);
  }
  return means;
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
