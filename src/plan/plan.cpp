#include "plan/plan.hpp"

#include <algorithm>
#include <cmath>
#include <map>

#include "base/str.hpp"
#include "base/units.hpp"
#include "plan/baseline_recipes.hpp"
#include "model/roles.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

constexpr double kPico = 1e-12;

bool is_experts(const ProfiledTensor& tensor) { return tensor.experts > 1; }

}  // namespace

std::string PlanOptions::limits() const {
  std::string text;
  const auto add = [&](bool asked, const std::string& option) {
    if (asked) text += str(text.empty() ? "" : ", ", option);
  };
  add(max_formats > 0, str("--max-formats ", max_formats));
  add(active_bytes.has_value(), "--active-size");
  add(!caps.empty(), "--cap");
  add(!rules.pins.empty(), "--pin");
  add(!rules.mins.empty(), "--min");
  add(!rules.maxs.empty(), "--max");
  add(!rules.groups.empty(), "--group");
  return text;
}

bool PlanOptions::is_plain() const {
  return limits().empty() && split_bytes == 0;
}

Planner::Planner(const Profile& profile, const ModelSource& model, const Importance* importance,
                 const PlanOptions& options)
    : profile_(profile),
      model_(model),
      importance_(importance),
      artifact_(make_artifact(model, importance)),
      options_(options),
      selection_(select_candidates(profile, options.rules)),
      base_(copying_recipe(model)) {
  if (options.size_bytes.has_value() == options.bpw.has_value())
    throw Error{"a plan needs one budget", "", "give either --size, e.g. 11GB, or --bpw, e.g. 4.25", Fault::usage};
  if (options.bpw && !(*options.bpw > 0 && *options.bpw <= 64))
    throw Error{str(*options.bpw, " bits per weight is no budget"), "--bpw", "e.g. 4.25", Fault::usage};
  base_.model_digest = profile.model_digest;
  base_.imatrix_digest = profile.imatrix_digest;
  base_.state_digest = profile.state_digest;
  base_.method = "optimal";
  base_.notes = options.notes;
  base_.limits = options.limits();
  header_bytes_ = artifact_->fixed_bytes(base_);
  for (const FixedTensor& tensor : profile.fixed) fixed_bytes_ += choice_bytes(tensor.format, tensor.bytes);
  weights_ = base_.weights;
}

/// What a tensor's bytes take out of the budget: padding counts in a file, not in bits per weight.
int64_t Planner::choice_bytes(FormatId format, int64_t data_bytes) const {
  return options_.bpw ? data_bytes : artifact_->stored_bytes(format, data_bytes);
}

int64_t Planner::budget_for_choices(int64_t held_back) const {
  const int64_t budget = options_.bpw ? static_cast<int64_t>(std::floor(*options_.bpw * static_cast<double>(weights_) / 8))
                                      : *options_.size_bytes - header_bytes_;
  return budget - fixed_bytes_ - held_back;
}

Problem Planner::make_problem() const {
  Problem problem;
  for (const Selection::Item& item : selection_.items) {
    auto& choices = problem.tensors.emplace_back();
    for (const std::vector<size_t>& members : item.candidates) {
      Choice choice;
      for (size_t m = 0; m < members.size(); ++m) {
        const Candidate& candidate = profile_.tensors[item.tensors[m]].candidates[members[m]];
        choice.bytes += choice_bytes(candidate.format, candidate.bytes);
        choice.loss += candidate.loss;
      }
      choices.push_back(choice);
    }
  }
  problem.budget_bytes = budget_for_choices(0);
  return problem;
}

int64_t Planner::active_bytes_of(const ProfiledTensor& tensor, int64_t bytes) const {
  const ModelShape shape = shape_of(model_);
  if (is_experts(tensor) && shape.experts > 0) return bytes * std::max<int64_t>(shape.experts_used, 1) / shape.experts;
  if (tensor.role == role_name(Role::token_embd) && !shape.tied_output) return bytes / tensor.rows;
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
    const RegexValue cap = parse_regex_value(text, "--cap");
    add_side(str("--cap ", text), parse_size(cap.value), [&](const ProfiledTensor& tensor, int64_t bytes) {
      return std::regex_search(tensor.name, cap.regex) ? bytes : int64_t{0};
    });
  }
  if (options_.active_bytes)
    add_side("--active-size", *options_.active_bytes,
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

void Planner::refuse(Range range) const {
  const int64_t overhead = fixed_bytes_ + (options_.bpw ? 0 : header_bytes_);
  const auto shown = [&](int64_t choices) {
    const int64_t bytes = choices + overhead;
    return options_.bpw ? str(8.0 * static_cast<double>(bytes) / static_cast<double>(weights_), " bits per weight")
                        : str(show_size(bytes), " = ", bytes, " bytes");
  };
  std::string blocks = str(profile_.fixed.size(), " tensors are copied as they are (", show_size(fixed_bytes_), ")");
  if (!options_.bpw) blocks += str("; metadata take ", show_size(header_bytes_));
  if (!selection_.pinned.empty()) blocks += str("; ", selection_.pinned.size(), " tensors are pinned");
  if (!options_.rules.mins.empty()) blocks += "; --min keeps formats out";
  size_t awkward = 0;
  for (const ProfiledTensor& tensor : profile_.tensors) awkward += tensor.cols % 256 != 0;
  if (awkward) blocks += str("; ", awkward, " tensors have rows that are no multiple of 256 and fit few formats");
  const bool sides = !options_.caps.empty() || options_.active_bytes || options_.max_formats;
  throw Error{sides && range.smallest <= budget_for_choices(0)
                  ? "no recipe within the budget meets --cap, --active-size and --max-formats together"
                  : str("no recipe is that small: the smallest takes ", shown(range.smallest)),
              str("reachable without side constraints: ", shown(range.smallest), " to ", shown(range.largest), "; ",
                  blocks),
              "raise the budget, pin less, or allow more --formats", Fault::unreachable_budget};
}

std::vector<size_t> Planner::candidates_picked(const std::vector<uint16_t>& pick) const {
  std::vector<size_t> picked(profile_.tensors.size());
  for (size_t i = 0; i < selection_.items.size(); ++i) {
    const Selection::Item& item = selection_.items[i];
    for (size_t m = 0; m < item.tensors.size(); ++m) picked[item.tensors[m]] = item.candidates[pick[i]][m];
  }
  return picked;
}

Recipe Planner::make_recipe(const std::vector<uint16_t>& pick) const {
  Recipe recipe = base_;
  const std::vector<size_t> picked = candidates_picked(pick);
  std::map<std::string_view, const Candidate*> by_name;
  for (size_t t = 0; t < picked.size(); ++t)
    by_name[profile_.tensors[t].name] = &profile_.tensors[t].candidates[picked[t]];
  int64_t loss = 0;
  recipe.tensor_bytes = 0;
  for (RecipeTensor& tensor : recipe.tensors) {
    if (const auto found = by_name.find(tensor.name); found != by_name.end()) {
      tensor.copied = false;
      tensor.format = found->second->format;
      tensor.bytes = found->second->bytes;
      tensor.loss = static_cast<double>(found->second->loss) * kPico;
      tensor.unweighted = importance_ && !importance_->find(tensor.name);
      loss += found->second->loss;
    }
    recipe.tensor_bytes += tensor.bytes;
  }
  recipe.predicted_loss = static_cast<double>(loss) * kPico;
  recipe.split_bytes = options_.split_bytes;
  recipe.budget_kind = options_.bpw ? "bpw" : "file";
  recipe.budget_bytes = budget_for_choices(0) + fixed_bytes_ + (options_.bpw ? 0 : header_bytes_);
  recipe.file_bytes = artifact_->layout(recipe).bytes;
  return recipe;
}

/// With side constraints "optimal" is the word of a search in floating point: claimed only where the bound proves it.
void Planner::certify(Recipe& recipe, const Solution& solution) const {
  recipe.certified_bound = static_cast<double>(solution.certified_bound) * kPico;
  const bool in_whole_numbers = options_.caps.empty() && !options_.active_bytes;
  recipe.proven_optimal = solution.stop == Stop::optimal &&
                          (in_whole_numbers || solution.certified_bound >= solution.loss);
}

bool Planner::may_be_bare() const { return options_.notes && options_.size_bytes && options_.is_plain(); }

Planner Planner::bare() const {
  PlanOptions options = options_;
  options.notes = false;
  return {profile_, model_, importance_, options};
}

void Planner::check_reachable() const {
  if (may_be_bare()) return bare().check_reachable();
  const Problem problem = make_problem();
  const Range range = reachable(problem);
  if (range.smallest > problem.budget_bytes) refuse(range);
}

Plan Planner::solve_as_asked() const {
  Plan plan{{}, make_problem(), {}};
  const Constraints constraints = make_constraints();
  const bool plain = constraints.side.empty() && constraints.formats.empty();
  Options solver;
  solver.seconds = options_.seconds;
  // Headers of further files come out of the budget too, and how many there are shows only after solving.
  for (int64_t held_back = 0;;) {
    plan.problem.budget_bytes = budget_for_choices(held_back);
    plan.solution = plain ? solve(plan.problem, solver) : solve_with(plan.problem, constraints, solver);
    if (plan.solution.pick.empty() && !plan.problem.tensors.empty()) refuse(reachable(plan.problem));
    plan.recipe = make_recipe(plan.solution.pick);
    const int64_t over = options_.bpw ? 0 : plan.recipe.file_bytes - *options_.size_bytes;
    if (over <= 0) break;
    held_back += over;
  }
  certify(plan.recipe, plan.solution);
  return plan;
}

/// Where the bytes of our own keys would buy more than a hundredth of the loss, or are what the budget lacks, they are
/// left out: at the size of a preset that could otherwise not be had.
Plan Planner::plan() const {
  constexpr double kWorth = 0.99;
  if (!may_be_bare()) return solve_as_asked();
  const Planner without = bare();
  const Problem problem = make_problem();
  if (reachable(problem).smallest > problem.budget_bytes) return without.solve_as_asked();
  Plan plan = solve_as_asked(), smaller = without.solve_as_asked();
  return smaller.recipe.predicted_loss < kWorth * plan.recipe.predicted_loss ? smaller : plan;
}

std::vector<Planner::CurvePoint> Planner::curve(int64_t exact_points) const {
  const Problem problem = make_problem();
  FrontierOptions options;
  options.exact_points = exact_points;
  std::vector<uint16_t> pick(problem.tensors.size());
  std::vector<CurvePoint> curve;
  for (const FrontierPoint& point : frontier(problem, options)) {
    CurvePoint out{0, 0, point.loss, 0, point.on_hull, {}};
    for (const Change& change : point.changes) {
      pick[change.tensor] = change.pick;
      const Selection::Item& item = selection_.items[change.tensor];
      for (size_t m = 0; m < item.tensors.size(); ++m) {
        const ProfiledTensor& tensor = profile_.tensors[item.tensors[m]];
        out.changes.emplace_back(tensor.name, tensor.candidates[item.candidates[change.pick][m]].format);
      }
    }
    out.file_bytes = header_bytes_;
    const auto add = [&](FormatId format, int64_t bytes) {
      out.tensor_bytes += bytes;
      out.file_bytes += artifact_->stored_bytes(format, bytes);
    };
    const std::vector<size_t> picked = candidates_picked(pick);
    for (size_t t = 0; t < picked.size(); ++t) {
      const Candidate& candidate = profile_.tensors[t].candidates[picked[t]];
      add(candidate.format, candidate.bytes);
    }
    for (const FixedTensor& tensor : profile_.fixed) add(tensor.format, tensor.bytes);
    out.bpw = 8.0 * static_cast<double>(out.tensor_bytes) / static_cast<double>(weights_);
    curve.push_back(std::move(out));
  }
  return curve;
}

}  // namespace snug
