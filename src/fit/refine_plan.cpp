#include "fit/refine_plan.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>

#include "artifact/artifact.hpp"
#include "base/events.hpp"
#include "base/progress.hpp"
#include "base/str.hpp"
#include "fit/measured_recipe_store.hpp"
#include "plan/baseline_recipes.hpp"
#include "plan/predict_loss.hpp"
#include "recipe/presets.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

/// A figure from few chunks must not throw a plan about.
constexpr double kMinCorrection = 0.3, kMaxCorrection = 6;
/// Share of an average tensor's loss at which a correction counts half: those of small ones are noise.
constexpr double kHalf = 0.1;
/// A preset of which so many times the loss is predicted that was measured of the best so far will not beat it: error
/// feedback makes it half, and predictions of whole recipes are hardly ever off by half of that.
constexpr double kHopeless = 4;

class Loop {
 public:
  Loop(const Profile& profile, const ModelSource& model, const Importance* importance,
       const PlanOptions& options, RecipeEvaluator& judge, const RefineOptions& loop)
      : profile_(profile),
        model_(model),
        importance_(importance),
        artifact_(make_artifact(model, importance, options.runtime)),
        options_(options),
        judge_(judge),
        loop_(loop) {
    if (loop.holdout_first < 1 || loop.holdout_first >= judge.chunks())
      throw Error{str("no chunk is left to judge by behind the first ", loop.holdout_first), "",
                  "give a longer text"};
    loop_.tuning = std::min(loop.tuning, loop.holdout_first);
    if (options_.judged_on.empty()) options_.judged_on = "held-out text";
  }

  RefinedPlan run() {
    tell_of_unused();
    result_.plan = plan(profile_);
    take(hold(result_.plan.recipe));
    record("plan", result_.plan.recipe, held_, true);
    predicts_well_ = std::abs(std::log(result_.best().measured.value / result_.best().predicted)) < std::log(2.0);
    if (loop_.moments) try_feedback();
    for (int round = 1; round <= loop_.rounds && correct(round); ++round) {
    }
    if (loop_.presets && options_.is_plain() && artifact_->has_notes()) try_preset();
    result_.holdout_tokens = (judge_.chunks() - loop_.holdout_first) * judge_.scored();
    const infer::Estimate measured = result_.best().measured;
    result_.plan.recipe.measured = {measured.value, measured.error, result_.holdout_tokens, options_.judged_on};
    return std::move(result_);
  }

 private:
  Plan plan(const Profile& profile) const {
    Plan plan = Planner{profile, model_, importance_, options_}.solved_by(loop_.solver).plan();
    plan.recipe.effort = judge_.effort();
    plan.recipe.error_feedback = feedback_;
    plan.recipe.folds = folds();
    return plan;
  }

  std::vector<RecipeFold> folds() const { return {loop_.folds.begin(), loop_.folds.end()}; }

  std::vector<double> hold(const Recipe& recipe) {
    return judge_.divergence(formats_of(recipe), loop_.holdout_first, judge_.chunks());
  }

  /// The recipe in result_ is the best so far.
  void take(std::vector<double> held) {
    held_ = std::move(held);
    judge_.keep_encoded(formats_of(result_.plan.recipe));
  }

  void record(const std::string& label, const Recipe& recipe, const std::vector<double>& held,
              bool accepted) {
    result_.judged.push_back({label, recipe_digest(recipe), recipe.tensor_bytes, recipe.file_bytes,
                              predicted_of(recipe), mean_of(held), paired_difference(held, held_), accepted,
                              judge_.scores(formats_of(recipe), loop_.holdout_first, judge_.chunks())});
  }

  void tell_of_unused() const {
    const auto is_unused = [&](const ProfiledTensor& tensor) { return !judge_.runs(tensor.name); };
    if (const auto unused = std::ranges::count_if(profile_.tensors, is_unused); unused > 0)
      log_line(
          str(unused,
              " tensors are not used by the model's own run, such as those of blocks that draft: they are "
              "planned by priors and left out where recipes are judged"));
  }

  /// Of what is run: the loss that measuring can show.
  double predicted_of(const Recipe& recipe) const {
    double unused = 0;
    for (const RecipeTensor& tensor : recipe.tensors)
      if (!tensor.copied && !judge_.runs(tensor.name)) unused += tensor.loss;
    return recipe.predicted_loss - unused;
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
    take(held);
  }

  /// True if a corrected plan was better, so that another round may help.
  bool correct(int round) {
    const Recipe& recipe = result_.plan.recipe;
    const double measured = mean_of(judge_.divergence(formats_of(recipe), 0, loop_.tuning)).value;
    const double predicted = predicted_of(recipe);
    if (!(predicted > 0 && measured > 0)) return false;
    if (std::abs(std::log(measured / predicted)) < loop_.tolerance) return false;
    Profile corrected = corrected_profile(measured);
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
    take(held);
    return true;
  }

  /// What each tensor has its share in of `whole`, the divergence of the tuning chunks: half its slope, all of which
  /// add up to the whole where that is a quadratic form; of tensors that no reverse pass reaches, what putting them
  /// back gains.
  std::map<std::string_view, double> shares(const TensorFormats& formats,
                                            const std::map<std::string_view, double>& predicted, double whole) {
    const Slopes slopes = judge_.slopes(formats, 0, loop_.tuning);
    std::vector<std::string> beyond;
    for (const auto& [name, loss] : predicted)
      if (!slopes.contains(name)) beyond.emplace_back(name);
    if (!beyond.empty()) judge_.run_ahead(formats, beyond, 0, loop_.tuning);
    std::map<std::string_view, double> shares;
    for (const auto& [name, loss] : predicted) {
      const auto slope = slopes.find(name);
      shares[name] = slope != slopes.end()
                         ? slope->second / 2
                         : whole - mean_of(judge_.divergence_without(formats, name, 0, loop_.tuning)).value;
    }
    return shares;
  }

  /// By tensors that the model's own run uses.
  std::map<std::string_view, double> predicted_losses() const {
    std::map<std::string_view, double> predicted;
    for (const RecipeTensor& tensor : result_.plan.recipe.tensors)
      if (!tensor.copied && judge_.runs(tensor.name)) predicted[tensor.name] = tensor.loss;
    return predicted;
  }

  /// Losses as they are in the company of the present plan's: alpha of each tensor times its share over what was
  /// predicted, all brought to the scale of what was measured.
  Profile corrected_profile(double measured) {
    const TensorFormats formats = formats_of(result_.plan.recipe);
    const std::map<std::string_view, double> predicted = predicted_losses();
    const double all = predicted_of(result_.plan.recipe), scale = measured / all;
    const double prior = kHalf * all / static_cast<double>(predicted.size());
    const std::map<std::string_view, double> share = shares(formats, predicted, measured);

    Profile corrected = profile_;
    double sum = 0;
    for (ProfiledTensor& tensor : corrected.tensors) {
      const auto found = predicted.find(tensor.name);
      if (found == predicted.end()) {
        if (!judge_.runs(tensor.name)) tensor.alpha *= scale;  // as the others on the whole
        continue;
      }
      const double ratio = std::clamp((share.at(tensor.name) + prior * scale) / (found->second + prior),
                                      kMinCorrection * scale, kMaxCorrection * scale);
      tensor.alpha *= ratio;
      sum += found->second * ratio;
    }
    for (size_t i = 0; i < corrected.tensors.size(); ++i) {
      ProfiledTensor& tensor = corrected.tensors[i];
      tensor.alpha *= measured / sum;
      const double before = profile_.tensors[i].alpha;
      for (Candidate& candidate : tensor.candidates)
        candidate.loss = tensor.alpha_from == "reverse" && before > 0  // each format's own, on the new level
                             ? pico_nats(nats(candidate.loss) * tensor.alpha / before)
                             : pico_nats(tensor.alpha * candidate.relative_error);
    }
    return corrected;
  }

  /// The preset within the budget that promises least loss, with that loss filled in; nothing if none fits.
  std::optional<Recipe> best_preset() const {
    std::optional<Recipe> best;
    for (const Preset& preset : presets()) {
      Recipe recipe = preset_recipe(model_, importance_, std::string(preset.name));
      if (!predict_loss(profile_, recipe) || !put_within_budget(recipe)) continue;
      if (!best || recipe.predicted_loss < best->predicted_loss) best = std::move(recipe);
    }
    return best;
  }

  /// With what the file says of the plan; without, where it fits only so.
  bool put_within_budget(Recipe& recipe) const {
    const Recipe& plan = result_.plan.recipe;
    recipe.measured = plan.measured;
    recipe.state_digest = plan.state_digest;
    recipe.budget_kind = plan.budget_kind;
    recipe.budget_bytes = plan.budget_bytes;
    recipe.split_bytes = plan.split_bytes;
    recipe.certified_bound = plan.certified_bound;
    for (recipe.notes = options_.notes;; recipe.notes = false) {
      recipe.file_bytes = artifact_->layout(recipe).bytes;
      const bool fits = options_.budget.overrun(recipe) <= 0;
      if (fits || !recipe.notes) return fits;
    }
  }

  void try_preset() {
    std::optional<Recipe> preset = best_preset();
    if (!preset) return;
    const double times = predicted_of(*preset) / mean_of(held_).value;
    if (predicts_well_ && times > kHopeless)
      return log_line(str(preset->method, ", the best of that size, is not run: it would lose some ",
                          std::llround(times), " times as much"));
    preset->effort = judge_.effort();
    preset->error_feedback = feedback_;
    preset->folds = folds();
    const std::vector<double> held = hold(*preset);
    const infer::Estimate change = paired_difference(held, held_);
    const bool better = change.value < -change.error;
    record(preset->method, *preset, held, better);
    if (!better) return;
    result_.plan.recipe = std::move(*preset);
    take(held);
  }

  Profile profile_;
  const ModelSource& model_;
  const Importance* importance_;
  const std::unique_ptr<Artifact> artifact_;
  PlanOptions options_;
  RecipeEvaluator& judge_;
  RefineOptions loop_;
  std::vector<double> held_;  // of the best so far
  bool feedback_ = false;
  bool predicts_well_ = false;  // the first plan's loss came out within a factor of two
  RefinedPlan result_;
};

}  // namespace

const EvaluatedRecipe& RefinedPlan::best() const {
  const auto found =
      std::find_if(judged.rbegin(), judged.rend(), [](const EvaluatedRecipe& j) { return j.accepted; });
  return *found;
}

void save_judgements(Store& state, const RefinedPlan& result) {
  for (const EvaluatedRecipe& judged : result.judged)
    save_judged(state, result.plan.recipe.model_digest, judged.digest,
                with_scores({judged.label, judged.file_bytes, judged.predicted, judged.measured.value, judged.measured.error},
                            judged.scores));
}

TensorFormats formats_of(const Recipe& recipe) {
  TensorFormats formats;
  for (const RecipeTensor& tensor : recipe.tensors)
    if (!tensor.copied) formats[tensor.name] = tensor.format;
  return formats;
}

RefinedPlan refine_plan(const Profile& profile, const ModelSource& model, const Importance* importance,
                        const PlanOptions& options, RecipeEvaluator& judge, const RefineOptions& loop) {
  return Loop{profile, model, importance, options, judge, loop}.run();
}

}  // namespace snug
