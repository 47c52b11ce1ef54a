#include "fit/check_recipes.hpp"

#include <algorithm>
#include <cmath>
#include <memory>
#include <random>

#include "base/progress.hpp"
#include "base/str.hpp"
#include "base/units.hpp"
#include "fit/refine_plan.hpp"
#include "artifact/artifact.hpp"
#include "plan/plan.hpp"
#include "plan/predict_loss.hpp"
#include "plan/baseline_recipes.hpp"
#include "recipe/presets.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

constexpr double kMinBits = 2.1, kMaxBits = 8;
/// Formats of a random recipe have between so many times the bits it aims at.
constexpr double kSmallest = 0.55, kLargest = 1.8;

class Checker {
 public:
  Checker(const Profile& profile, const ModelSource& model, const Importance* importance)
      : profile_(profile),
        model_(model),
        importance_(importance),
        artifact_(make_artifact(model, importance)) {}

  std::vector<Recipe> recipes(int64_t count) {
    add_presets(count / 3);
    const int64_t optimal = count / 3;
    for (int64_t i = 0; i < optimal; ++i) add_optimal(bits_at(i, optimal));
    const int64_t rest = count - static_cast<int64_t>(recipes_.size());
    for (int64_t i = 0; i < rest; ++i) add_random(i + 1, bits_at(i, rest));
    return std::move(recipes_);
  }

 private:
  static double bits_at(int64_t i, int64_t count) {
    const double share = count > 1 ? static_cast<double>(i) / static_cast<double>(count - 1) : 0.5;
    return kMinBits * std::pow(kMaxBits / kMinBits, share);
  }

  bool add(Recipe recipe) {
    if (!predict_loss(profile_, recipe)) return false;
    recipe.file_bytes = artifact_->layout(recipe).bytes;
    recipes_.push_back(std::move(recipe));
    return true;
  }

  /// Evenly over those whose formats were all measured.
  void add_presets(int64_t most) {
    std::vector<Recipe> known;
    for (const Preset& preset : presets()) {
      Recipe recipe = preset_recipe(model_, importance_, std::string(preset.name));
      if (predict_loss(profile_, recipe)) known.push_back(std::move(recipe));
    }
    std::ranges::sort(known, {}, &Recipe::tensor_bytes);
    const auto have = static_cast<int64_t>(known.size()), wanted = std::min(most, have);
    for (int64_t i = 0; i < wanted; ++i) add(std::move(known[static_cast<size_t>(i * have / wanted)]));
  }

  void add_optimal(double bits) {
    PlanOptions options;
    options.budget = Budget::of_tensors(bits);
    try {
      Recipe recipe = Planner{profile_, model_, importance_, options}.plan().recipe;
      recipe.method = str("optimal ", fixed(bits, 2), " bpw");
      recipes_.push_back(std::move(recipe));
    } catch (const Error& error) {
      if (error.fault() != Fault::unreachable_budget) throw;  // a random one takes its place
    }
  }

  void add_random(int64_t number, double bits) {
    const auto draw = [&](const Tensor& tensor) {
      const auto found = std::ranges::find(profile_.tensors, tensor.name, &ProfiledTensor::name);
      return found == profile_.tensors.end() ? tensor.format : drawn(*found, bits);
    };
    add(recipe_with(model_, importance_, str("random ", number),
                    [&](size_t, const Tensor& tensor) { return draw(tensor); }));
  }

  FormatId drawn(const ProfiledTensor& tensor, double bits) {
    const auto bits_of = [&](const Candidate& c) {
      return 8.0 * static_cast<double>(c.bytes) / static_cast<double>(tensor.rows * tensor.cols);
    };
    std::vector<FormatId> fitting;
    for (const Candidate& candidate : tensor.candidates)
      if (bits_of(candidate) >= kSmallest * bits && bits_of(candidate) <= kLargest * bits)
        fitting.push_back(candidate.format);
    if (!fitting.empty()) return fitting[random_() % fitting.size()];
    return std::ranges::min(tensor.candidates, {},
                            [&](const Candidate& c) { return std::abs(bits_of(c) - bits); })
        .format;
  }

  const Profile& profile_;
  const ModelSource& model_;
  const Importance* importance_;
  const std::unique_ptr<Artifact> artifact_;
  std::mt19937_64 random_{1};
  std::vector<Recipe> recipes_;
};

}  // namespace

std::vector<MeasuredRecipe> check_recipes(const Profile& profile, const ModelSource& model,
                                        const Importance* importance, RecipeEvaluator& judge, int64_t first,
                                        int64_t count, Store& state) {
  const std::vector<Recipe> recipes = Checker{profile, model, importance}.recipes(count);
  Progress progress{"checking predictions", static_cast<int64_t>(recipes.size()), Progress::Unit::items};
  std::vector<MeasuredRecipe> checked;
  for (const Recipe& recipe : recipes) {
    const infer::Estimate kl = mean_of(judge.divergence(formats_of(recipe), first, judge.chunks()));
    checked.push_back(with_scores({recipe.method, recipe.file_bytes, recipe.predicted_loss, kl.value, kl.error},
                                  judge.scores(formats_of(recipe), first, judge.chunks())));
    save_judged(state, profile.model_digest, recipe_digest(recipe), checked.back());
    progress.advance(1, recipe.method);
  }
  return checked;
}

}  // namespace snug
