#include "plan/plan.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "base/files/open_descriptors.hpp"
#include "base/str.hpp"
#include "base/units.hpp"
#include "model/roles.hpp"
#include "plan/baseline_recipes.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

bool is_experts(const ProfiledTensor& tensor) { return tensor.experts > 1; }

/// What is proven of `wide`, of a larger budget for the same tensors, holds for the plan too: that no recipe loses less.
void bound_by(Plan& plan, Plan wide) {
  const bool is_best = plan.solution.loss <= wide.solution.loss;
  if (!is_best && wide.solution.stop == SolveStatus::optimal) wide.solution.stop = SolveStatus::gap_reached;
  wide.solution.pick = std::move(plan.solution.pick);
  wide.solution.bytes = plan.solution.bytes;
  wide.solution.loss = plan.solution.loss;
  plan.problem = std::move(wide.problem);
  plan.solution = std::move(wide.solution);
}

}  // namespace

Planner::Planner(const Profile& profile, PlannedModel model, const PlanOptions& options)
    : profile_(profile),
      model_(std::move(model)),
      options_(options),
      selection_(select_candidates(profile, options.rules, *model_.sizes)) {
  if (options.budget.kind() == BudgetKind::none)
    throw Error{"a plan needs one budget", "", "give either a size, e.g. 11GB, or bits per weight, e.g. 4.25", Fault::usage};
  Recipe& copy = model_.copy;
  copy.model_digest = profile.model_digest;
  copy.imatrix_digest = profile.imatrix_digest;
  copy.state_digest = profile.state_digest;
  copy.method = "optimal";
  copy.runtime = options.runtime;
  copy.notes = options.notes;
  copy.limits = options.limits();
  copy.split_bytes = options.split_bytes;
  copy.budget_kind = options.budget.kind();
  copy.budget_bytes = allowed_bytes_ = options.budget.bytes(copy.weights);
  if (!options.judged_on.empty()) copy.measured = Recipe::Measured{.text = options.judged_on};
  if (options.budget.counts_whole_files()) header_bytes_ = model_.sizes->fixed_bytes(copy);
  for (const UnquantizedTensor& tensor : profile.fixed)
    copied_bytes_ += counted_bytes(tensor.format, tensor.bytes);
}

/// What a tensor's bytes take out of the budget.
int64_t Planner::counted_bytes(FormatId format, int64_t data_bytes) const {
  return options_.budget.counts_whole_files() ? model_.sizes->stored_bytes(format, data_bytes) : data_bytes;
}

int64_t Planner::budget_for_choices(int64_t held_back) const {
  return allowed_bytes_ - header_bytes_ - copied_bytes_ - held_back;
}

Problem Planner::problem() const {
  Problem problem;
  for (const Selection::Item& item : selection_.items) {
    auto& choices = problem.tensors.emplace_back();
    for (const std::vector<size_t>& members : item.candidates) {
      Choice choice;
      for (size_t m = 0; m < members.size(); ++m) {
        const Candidate& candidate = profile_.tensors[item.tensors[m]].candidates[members[m]];
        choice.bytes += counted_bytes(candidate.format, candidate.bytes);
        choice.loss += candidate.loss;
      }
      choices.push_back(choice);
    }
  }
  problem.budget_bytes = budget_for_choices(0);
  return problem;
}

int64_t Planner::active_bytes_of(const ProfiledTensor& tensor, int64_t bytes) const {
  if (is_experts(tensor) && model_.experts > 0) return bytes * std::max<int64_t>(model_.experts_used, 1) / model_.experts;
  if (tensor.role == role_name(Role::token_embd) && !model_.tied_output) return bytes / tensor.rows;
  return bytes;
}

Constraints Planner::make_constraints() const {
  Constraints constraints;
  const auto add_side = [&](std::string name, int64_t limit, const auto& cost_of) {
    SideConstraint side{std::move(name), {}, limit};
    for (const Selection::Item& item : selection_.items) {
      auto& costs = side.cost.emplace_back();
      for (const std::vector<size_t>& members : item.candidates) {
        int64_t cost = 0;
        for (size_t m = 0; m < members.size(); ++m) {
          const ProfiledTensor& tensor = profile_.tensors[item.tensors[m]];
          cost += cost_of(tensor, tensor.candidates[members[m]].bytes);
        }
        costs.push_back(cost);
      }
    }
    constraints.side.push_back(std::move(side));
  };
  for (const std::string& text : options_.caps) {
    const RegexValue cap = parse_regex_value(text, "cap");
    add_side(str("cap ", text), parse_size(cap.value), [&](const ProfiledTensor& tensor, int64_t bytes) {
      return cap.regex.finds(tensor.name) ? bytes : int64_t{0};
    });
  }
  if (options_.active_bytes)
    add_side("active size", *options_.active_bytes,
             [&](const ProfiledTensor& tensor, int64_t bytes) { return active_bytes_of(tensor, bytes); });
  if (options_.max_formats > 0) {
    FormatLimit limit{{}, options_.max_formats};
    for (const Selection::Item& item : selection_.items) {
      auto& ids = limit.format.emplace_back();
      for (const std::vector<size_t>& members : item.candidates)
        ids.push_back(static_cast<int>(profile_.tensors[item.tensors[0]].candidates[members[0]].format));
    }
    constraints.formats.push_back(std::move(limit));
  }
  return constraints;
}

void Planner::refuse(ReachableBytes range) const {
  const auto shown = [&](int64_t choices) {
    return options_.budget.show(choices + copied_bytes_ + header_bytes_, model_.copy.weights);
  };
  std::string blocks = str(profile_.fixed.size(), " tensors are copied as they are (", show_size(copied_bytes_), ")");
  if (header_bytes_ > 0) blocks += str("; metadata take ", show_size(header_bytes_));
  if (!selection_.pinned.empty()) blocks += str("; ", selection_.pinned.size(), " tensors are pinned");
  if (!options_.rules.mins.empty()) blocks += "; a min rule keeps formats out";
  size_t awkward = 0;
  for (const ProfiledTensor& tensor : profile_.tensors) awkward += tensor.cols % 256 != 0;
  if (awkward) blocks += str("; ", awkward, " tensors have rows that are no multiple of 256 and fit few formats");
  const bool sides = !options_.caps.empty() || options_.active_bytes || options_.max_formats;
  throw Error{sides && range.smallest <= budget_for_choices(0)
                  ? "no recipe within the budget meets the caps, the active size and the number of formats together"
                  : str("no recipe is that small: the smallest takes ", shown(range.smallest)),
              str("reachable without side constraints: ", shown(range.smallest), " to ", shown(range.largest), "; ",
                  blocks),
              "raise the budget, pin less, or allow more formats", Fault::unreachable_budget};
}

void Planner::refuse_unfound(const Solution& solution) const {
  if (solution.stop == SolveStatus::time_limit)
    throw Error{str("in ", options_.seconds, " seconds no recipe was found that meets the budget, the caps, the active size and "
                    "the number of formats together"),
                "there may be one", "give the solver more time, or ask for less", Fault::unreachable_budget};
  refuse(reachable(problem()));
}

std::vector<size_t> Planner::candidates_picked(const std::vector<uint16_t>& pick) const {
  std::vector<size_t> picked(profile_.tensors.size());
  for (size_t i = 0; i < selection_.items.size(); ++i) {
    const Selection::Item& item = selection_.items[i];
    for (size_t m = 0; m < item.tensors.size(); ++m) picked[item.tensors[m]] = item.candidates[pick[i]][m];
  }
  return picked;
}

Recipe Planner::recipe_of(const std::vector<uint16_t>& pick) const {
  Recipe recipe = model_.copy;
  const std::vector<size_t> picked = candidates_picked(pick);
  struct Chosen {
    const ProfiledTensor& profiled;
    const Candidate& candidate;
  };
  std::map<std::string_view, Chosen> by_name;
  for (size_t t = 0; t < picked.size(); ++t) {
    const ProfiledTensor& profiled = profile_.tensors[t];
    by_name.emplace(profiled.name, Chosen{profiled, profiled.candidates[picked[t]]});
  }
  int64_t loss = 0;
  recipe.tensor_bytes = 0;
  for (RecipeTensor& tensor : recipe.tensors) {
    if (const auto found = by_name.find(tensor.name); found != by_name.end()) {
      const auto& [profiled, candidate] = found->second;
      tensor.copied = false;
      tensor.format = candidate.format;
      tensor.bytes = candidate.bytes;
      tensor.loss = nats(candidate.loss);
      tensor.unweighted = !profile_.imatrix_digest.empty() && !profiled.weighted;
      loss += candidate.loss;
    }
    recipe.tensor_bytes += tensor.bytes;
  }
  recipe.predicted_loss = nats(loss);
  recipe.file_bytes = model_.sizes->layout(recipe).bytes;
  return recipe;
}

/// With side constraints "optimal" is the word of a search in floating point: claimed only where the bound proves it.
void Planner::certify(Recipe& recipe, const Solution& solution) const {
  recipe.certified_bound = nats(solution.certified_bound);
  const bool in_whole_numbers = options_.caps.empty() && !options_.active_bytes;
  recipe.proven_optimal = solution.stop == SolveStatus::optimal &&
                          (in_whole_numbers || solution.certified_bound >= solution.loss);
}

bool Planner::may_be_bare() const { return options_.notes && model_.sizes->has_notes() && options_.budget.counts_whole_files() && options_.is_plain(); }

Planner Planner::bare() const {
  PlanOptions options = options_;
  options.notes = false;
  Planner bare{profile_, model_, options};
  bare.solver_ = solver_;
  return bare;
}

void Planner::check_reachable() const {
  if (may_be_bare()) return bare().check_reachable();
  const ReachableBytes range = reachable(problem());
  if (range.smallest > budget_for_choices(0)) refuse(range);
  check_files();
}

/// At least so many files as the smallest formats give a split will be open at once.
void Planner::check_files() const {
  if (options_.split_bytes == 0) return;
  std::vector<uint16_t> smallest;
  for (const auto& choices : problem().tensors)
    smallest.push_back(
        static_cast<uint16_t>(std::ranges::min_element(choices, {}, &Choice::bytes) - choices.begin()));
  check_open_files(model_.sizes->layout(recipe_of(smallest)).file_bytes.size());
}

Plan Planner::solve_as_asked() const {
  Plan plan{{}, problem(), {}};
  const Constraints constraints = make_constraints();
  SolveOptions solver;
  solver.seconds = options_.seconds;
  // Headers of further files come out of the budget too, and whatever of a header depends on the formats: how much
  // that is shows only after solving.
  std::optional<Plan> whole;  // of the budget with nothing held back
  for (int64_t held_back = 0;;) {
    plan.problem.budget_bytes = budget_for_choices(held_back);
    plan.solution = solver_(plan.problem, constraints, solver);
    if (plan.solution.pick.empty() && !plan.problem.tensors.empty()) refuse_unfound(plan.solution);
    plan.recipe = recipe_of(plan.solution.pick);
    const int64_t over = options_.budget.overrun(plan.recipe);
    if (over <= 0) break;
    if (!whole) whole = plan;
    held_back += over;
  }
  if (whole) bound_by(plan, *std::move(whole));
  certify(plan.recipe, plan.solution);
  return plan;
}

/// Where the bytes of our own keys would buy more than a hundredth of the loss, or are what the budget lacks, they are
/// left out: at the size of a preset that could otherwise not be had. Either way the bound is that of all recipes
/// within the budget.
Plan Planner::plan() const {
  constexpr double kWorth = 0.99;
  if (!may_be_bare()) return solve_as_asked();
  const Planner without = bare();
  if (reachable(problem()).smallest > budget_for_choices(0)) return without.solve_as_asked();
  Plan plan = solve_as_asked(), smaller = without.solve_as_asked();
  if (smaller.recipe.predicted_loss < kWorth * plan.recipe.predicted_loss) return smaller;
  bound_by(plan, std::move(smaller));
  certify(plan.recipe, plan.solution);
  return plan;
}

std::vector<Planner::CurvePoint> Planner::curve(int64_t exact_points) const {
  const Problem all = problem();
  FrontierOptions options;
  options.exact_points = exact_points;
  std::vector<uint16_t> pick(all.tensors.size());
  const int64_t header_bytes = model_.sizes->fixed_bytes(model_.copy);
  std::vector<CurvePoint> curve;
  for (const FrontierPoint& point : frontier(all, options)) {
    CurvePoint out{0, 0, point.loss, 0, point.on_hull, {}};
    for (const PickChange& change : point.changes) {
      pick[change.tensor] = change.pick;
      const Selection::Item& item = selection_.items[change.tensor];
      for (size_t m = 0; m < item.tensors.size(); ++m) {
        const ProfiledTensor& tensor = profile_.tensors[item.tensors[m]];
        out.changes.emplace_back(tensor.name, tensor.candidates[item.candidates[change.pick][m]].format);
      }
    }
    out.file_bytes = header_bytes;
    const auto add = [&](FormatId format, int64_t bytes) {
      out.tensor_bytes += bytes;
      out.file_bytes += model_.sizes->stored_bytes(format, bytes);
    };
    const std::vector<size_t> picked = candidates_picked(pick);
    for (size_t t = 0; t < picked.size(); ++t) {
      const Candidate& candidate = profile_.tensors[t].candidates[picked[t]];
      add(candidate.format, candidate.bytes);
    }
    for (const UnquantizedTensor& tensor : profile_.fixed) add(tensor.format, tensor.bytes);
    out.bpw = 8.0 * static_cast<double>(out.tensor_bytes) / static_cast<double>(model_.copy.weights);
    curve.push_back(std::move(out));
  }
  return curve;
}

}  // namespace snug
