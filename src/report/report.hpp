#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "plan/curve.hpp"
#include "recipe/saved_profile.hpp"
#include "report/listed_model.hpp"
#include "report/measured.hpp"
#include "snug/recipe.hpp"

namespace snug::report {

/// One tensor of the recipe; what only a profile tells is 0 without one.
struct TensorRow {
  std::string name, label;  // label: the name without "blk.n." and ".weight"
  std::string role;
  int role_order = 0, layer = -1;  // layer -1 outside blocks
  FormatId format{};
  bool copied = false;  // not a choice
  int64_t weights = 0, bytes = 0, experts = 1;
  double bits_per_weight = 0;
  double loss = 0, loss_share = 0;
  double loss_error = 0;  // standard error of loss: alpha's and sampling's together
  double alpha = 0, alpha_error = 0;
  std::string alpha_from;  // "probe", "reverse", "prior"; empty without a profile
  double relative_error = 0, relative_error_error = 0;
  bool weighted = false;
};

/// What the predicted loss rests on.
struct Certainty {
  int64_t probed = 0, priors = 0, unweighted = 0;  // tensors
  double share_sharp = 0;   // of the predicted loss: of probed tensors, alpha within 15 %
  double share_probed = 0;  // of other probed tensors
  double share_prior = 0;
  double loss_error = 0;      // standard error of the predicted loss
  double sampling_error = 0;  // the part of it that comes from measuring a sample of rows
};

/// Everything a report says, as numbers: the page, --csv and --json are three ways to write it.
struct Report {
  std::string model_name, architecture, method, runtime, effort, made_by;
  std::string model_digest, imatrix_digest, state_digest, recipe_digest;
  bool error_feedback = false;
  std::optional<Recipe::Measured> measured_recipe;  // what running the recipe itself gave
  bool from_recipe = false;  // else the recipe was planned for the report
  bool has_profile = false;  // else no curve, no presets, no alphas

  int64_t weights = 0, file_bytes = 0, tensor_bytes = 0, budget_bytes = 0;
  BudgetKind budget_kind = BudgetKind::none;
  double bits_per_weight = 0, predicted_loss = 0, certified_bound = 0;
  double curve_loss = 0;  // predicted as the curve and the presets are: without error feedback, before corrections
  bool proven_optimal = false, loss_known = true;
  std::string limits;  // what was asked for besides the budget

  std::vector<CurvePoint> curve;     // bytes rising, loss falling
  std::vector<PresetPoint> presets;  // bytes rising
  std::vector<TensorRow> tensors;    // in the order of the file
  std::vector<MeasuredPoint> measured;
  Agreement agreement;
  Certainty certainty;

  std::vector<ListedModel> models;  // what was made; the first by this recipe. May be empty
  std::string date, command;        // when and how the report was made; empty where nobody said
};

struct Inputs {
  std::optional<Recipe> recipe;
  std::optional<SavedProfile> profile;  // at least one of the two
  std::vector<MeasuredPoint> measured;
  std::vector<ListedModel> models;
  std::string date, command;
  double bits_per_weight = 4.25;  // of the plan that stands in for a recipe
  int budgets = 60;               // points of the curve, besides those at presets' sizes
};

/// Throws Error where recipe and profile are of different models, or the bits per weight out of reach.
Report make_report(const Inputs& inputs);

/// The preset that loses least among those no larger than the recipe; nullptr if there is none.
const PresetPoint* best_preset_within(const Report& report);

}  // namespace snug::report
