// RecipeEvaluator::slopes(): one reverse pass at a recipe, and the records that keep what it told.
#include <algorithm>

#include "base/digest.hpp"
#include "infer/reverse/reverse_pass.hpp"
#include "infer/session.hpp"
#include "measure/encoded_block.hpp"
#include "measure/probe_record.hpp"
#include "measure/recipe_evaluator.hpp"

namespace snug {
namespace {

/// Raised when recipe_slopes() gives other figures.
constexpr uint32_t kSlopeVersion = 1;

}  // namespace

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
  Hasher key;
  key.add_array<uint8_t>(key_of(formats, "").bytes).add("slopes, there and back").add(uint64_t{kSlopeVersion});
  for (const int64_t chunk : chunks) key.add_array<uint8_t>(base_.chunk_digest(chunk).bytes);
  const SaveWay saved{resume_};
  if (sweeps(formats)) {
    RecipeBlocks blocks{model_, formats, [this](const Tensor& tensor, const Format& format) {
                          return encoded(tensor, format);
                        }};
    return recipe_slopes(model_, base_.text(), chunks,
                         [&](int block) -> const infer::Replacements& { return blocks.of(block); }, {}, saved, key.finish());
  }
  stand_on(formats, nullptr);
  infer::Replacements all;
  for (const Encoded* tensor : base_.overrides())
    all.emplace(model_.find(tensor->tensor), infer::stand_in(model_, tensor->tensor, *tensor->format, tensor->data));
  base_.prepare(chunks);
  KnownRuns known{.original = [this](int64_t chunk) { return base_.original_last(chunk); }};
  if (base_.keeps_every_block()) known.recipe = [this](int64_t chunk, int block) { return base_.hidden(chunk, block); };
  return recipe_slopes(model_, base_.text(), chunks, [&](int) -> const infer::Replacements& { return all; }, known, saved,
                       key.finish());
}

Slopes RecipeEvaluator::slopes(const TensorFormats& all, int64_t first, int64_t last) {
  const TensorFormats formats = only_run(all);
  auto figures = wanted_slopes(formats, first, last);
  std::vector<int64_t> unknown;
  for (int64_t c = first; c < last; ++c)
    if (std::ranges::any_of(figures, [&](const auto& of) { return !of.second[static_cast<size_t>(c - first)].known; }))
      unknown.push_back(c);
  if (unknown.empty()) tell_slopes_known(model_);
  if (!unknown.empty()) {
    const std::vector<Slopes> found = run_slopes(formats, unknown);
    for (size_t i = 0; i < unknown.size(); ++i)
      for (auto& [name, of] : figures) {
        Wanted& figure = of[static_cast<size_t>(unknown[i] - first)];
        const auto slope = found[i].find(name);
        figure.known = slope == found[i].end() ? 0 : slope->second;  // an expert that no token went to
        keep_slope(figure, name);
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

void RecipeEvaluator::keep_slope(const Wanted& figure, std::string_view tensor) {
  state_.put(RecordKind::evaluation, figure.key,
             to_payload({std::string(tensor), FormatId::f32, base_.scored(), *figure.known, 0}));
}

}  // namespace snug
