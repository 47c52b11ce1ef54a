#include "fit/closed_loop.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>

#include "base/progress.hpp"
#include "base/str.hpp"
#include "fit/judged_store.hpp"
#include "artifact/artifact.hpp"
#include "plan/predict_loss.hpp"
#include "plan/baseline_recipes.hpp"
#include "recipe/presets.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

/// A figure from few chunks must not throw a plan about.
constexpr double kLeastCorrection = 0.3, kMostCorrection = 6;
/// Share of an average tensor's loss at which a correction counts half: those of small ones are noise.
constexpr double kHalf = 0.1;

class Loop {
 public:
  Loop(const Profile& profile, const ModelSource& model, const Importance* importance,
       const PlanOptions& options, RecipeJudge& judge, const LoopOptions& loop)
      : profile_(profile),
        model_(model),
        importance_(importance),
        artifact_(make_artifact(model, importance)),
        options_(options),
        judge_(judge),
        loop_(loop) {
    if (loop.held_first < 1 || loop.held_first >= judge.chunks())
      throw Error{str("no chunk is left to judge by behind the first ", loop.held_first), "",
                  "give a longer text"};
    loop_.tuning = std::min(loop.tuning, loop.held_first);
  }

  LoopResult run() {
    result_.plan = plan(profile_);
    held_ = hold(result_.plan.recipe);
    record("plan", result_.plan.recipe, held_, true);
    if (loop_.moments) try_feedback();
    for (int round = 1; round <= loop_.rounds && correct(round); ++round) {
    }
    if (loop_.presets && options_.is_plain()) try_preset();
    result_.held_tokens = (judge_.chunks() - loop_.held_first) * judge_.scored();
    const infer::Estimate measured = result_.best().measured;
    result_.plan.recipe.measured = {measured.value, measured.error, result_.held_tokens};
    return std::move(result_);
  }

 private:
  Plan plan(const Profile& profile) const {
    Plan plan = Planner{profile, model_, importance_, options_}.plan();
    plan.recipe.effort = judge_.effort();
    plan.recipe.error_feedback = feedback_;
    return plan;
  }

  std::vector<double> hold(const Recipe& recipe) {
    return judge_.divergence(formats_of(recipe), loop_.held_first, judge_.chunks());
  }

  void record(const std::string& label, const Recipe& recipe, const std::vector<double>& held,
              bool accepted) {
    result_.judged.push_back({label, recipe_digest(recipe), recipe.tensor_bytes, recipe.file_bytes,
                              recipe.predicted_loss, mean_of(held), paired_difference(held, held_),
                              accepted});
  }

  void try_feedback() {
    judge_.set_moments(loop_.moments);
    Recipe recipe = result_.plan.recipe;
    recipe.error_feedback = true;
    const std::vector<double> held = hold(recipe);
    const infer::Estimate change = paired_difference(held, held_);
    feedback_ = change.value < -change.error;
    record("error feedback", recipe, held, feedback_);
    if (!feedback_) return judge_.set_moments(nullptr);
    result_.plan.recipe = std::move(recipe);
    held_ = held;
  }

  /// True if a corrected plan was better, so that another round may help.
  bool correct(int round) {
    const Recipe& recipe = result_.plan.recipe;
    const double measured = mean_of(judge_.divergence(formats_of(recipe), 0, loop_.tuning)).value;
    if (!(recipe.predicted_loss > 0 && measured > 0)) return false;
    if (std::abs(std::log(measured / recipe.predicted_loss)) < loop_.tolerance) return false;
    Profile corrected = corrected_profile(round, measured);
    Plan replanned = plan(corrected);
    if (formats_of(replanned.recipe) == formats_of(recipe)) {
      result_.plan = std::move(replanned);  // the same, with losses as they turned out
      profile_ = std::move(corrected);
      return false;
    }
    const std::vector<double> held = hold(replanned.recipe);
    const infer::Estimate change = paired_difference(held, held_);
    const bool better = change.value < -change.error;
    record(str("correction ", round), replanned.recipe, held, better);
    if (!better) return false;
    result_.plan = std::move(replanned);
    profile_ = std::move(corrected);
    held_ = held;
    return true;
  }

  /// Losses as they are in the company of the present plan's: alpha of each tensor times what putting it back
  /// gains over what was predicted, all brought to the scale of what was measured.
  Profile corrected_profile(int round, double measured) {
    const TensorFormats formats = formats_of(result_.plan.recipe);
    const int64_t chunks = std::min(loop_.marginal, loop_.tuning);
    const double whole = mean_of(judge_.divergence(formats, 0, chunks)).value;
    std::map<std::string_view, double> predicted;
    for (const RecipeTensor& tensor : result_.plan.recipe.tensors)
      if (!tensor.copied) predicted[tensor.name] = tensor.loss;
    const double scale = whole / result_.plan.recipe.predicted_loss;
    const double prior = kHalf * result_.plan.recipe.predicted_loss / static_cast<double>(predicted.size());

    Profile corrected = profile_;
    Progress progress{str("correcting, round ", round), static_cast<int64_t>(formats.size()),
                      Progress::Unit::items};
    double sum = 0;
    for (ProfiledTensor& tensor : corrected.tensors) {
      const auto found = predicted.find(tensor.name);
      if (found == predicted.end()) continue;
      const double gain = whole - mean_of(judge_.divergence_without(formats, tensor.name, 0, chunks)).value;
      const double ratio = std::clamp((gain + prior * scale) / (found->second + prior),
                                      kLeastCorrection * scale, kMostCorrection * scale);
      tensor.alpha *= ratio;
      sum += found->second * ratio;
      progress.advance(1, tensor.name);
    }
    for (ProfiledTensor& tensor : corrected.tensors) {
      tensor.alpha *= measured / sum;
      for (Candidate& candidate : tensor.candidates)
        candidate.loss = pico_nats(tensor.alpha * candidate.relative_error);
    }
    return corrected;
  }

  /// The preset within the budget that promises least loss, with that loss filled in; nothing if none fits.
  std::optional<Recipe> best_preset() const {
    std::optional<Recipe> best;
    for (const Preset& preset : presets()) {
      Recipe recipe = preset_recipe(model_, importance_, std::string(preset.name));
      if (!within_budget(recipe) || !predict_loss(profile_, recipe)) continue;
      if (!best || recipe.predicted_loss < best->predicted_loss) best = std::move(recipe);
    }
    return best;
  }

  bool within_budget(Recipe& recipe) const {
    recipe.file_bytes = artifact_->layout(recipe).bytes;
    return options_.bpw ? recipe.bits_per_weight() <= *options_.bpw
                        : recipe.file_bytes <= *options_.size_bytes;
  }

  void try_preset() {
    std::optional<Recipe> preset = best_preset();
    if (!preset) return;
    preset->effort = judge_.effort();
    preset->error_feedback = feedback_;
    const std::vector<double> held = hold(*preset);
    const infer::Estimate change = paired_difference(held, held_);
    const bool better = change.value < -change.error;
    record(preset->method, *preset, held, better);
    if (!better) return;
    const Recipe& plan = result_.plan.recipe;
    preset->state_digest = plan.state_digest;
    preset->budget_kind = plan.budget_kind;
    preset->budget_bytes = plan.budget_bytes;
    preset->split_bytes = plan.split_bytes;
    preset->certified_bound = plan.certified_bound;
    result_.plan.recipe = std::move(*preset);
    held_ = held;
  }

  Profile profile_;
  const ModelSource& model_;
  const Importance* importance_;
  const std::unique_ptr<Artifact> artifact_;
  const PlanOptions& options_;
  RecipeJudge& judge_;
  LoopOptions loop_;
  std::vector<double> held_;  // of the best so far
  bool feedback_ = false;
  LoopResult result_;
};

}  // namespace

const Judged& LoopResult::best() const {
  const auto found = std::find_if(judged.rbegin(), judged.rend(), [](const Judged& j) { return j.accepted; });
  return *found;
}

void save_judgements(Store& state, const LoopResult& result) {
  for (const Judged& judged : result.judged)
    save_judged(
        state, result.plan.recipe.model_digest, judged.digest,
        {judged.label, judged.file_bytes, judged.predicted, judged.measured.value, judged.measured.error});
}

TensorFormats formats_of(const Recipe& recipe) {
  TensorFormats formats;
  for (const RecipeTensor& tensor : recipe.tensors)
    if (!tensor.copied) formats[tensor.name] = tensor.format;
  return formats;
}

LoopResult close_loop(const Profile& profile, const ModelSource& model, const Importance* importance,
                      const PlanOptions& options, RecipeJudge& judge, const LoopOptions& loop) {
  return Loop{profile, model, importance, options, judge, loop}.run();
}

}  // namespace snug
