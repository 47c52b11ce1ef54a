#include "cli/options/fit_args.hpp"

#include "base/events.hpp"
#include "base/str.hpp"
#include "cli/options/groups.hpp"
#include "snug/error.hpp"

namespace snug::cli {
namespace {

Feedback parse_feedback(const std::string& text) {
  if (text == "on") return Feedback::on;
  return text == "off" ? Feedback::off : Feedback::automatic;
}

}  // namespace

void FitArgs::add_to(CLI::App& command) {
  model.add_to(command);
  model.add_moments_to(command);
  plan.add_to(command, true);
  add_outputs_to(command);
  add_effort_to(command);
  measure.add_to(command, false);
  calibration.add_to(command);
  memory.add_to(command);
  common.add_to(command);
}

void FitArgs::add_outputs_to(CLI::App& command) {
  under(command, kWhere)
      .add_option("-o,--out", out,
                  "the file, or for mlx the folder, to write; {bpw}, {size} and {label} in it stand for the budget "
                  "(default: MODEL's name and the budget)")
      ->type_name("FILE");
  projector.add_to(command);
  projector.add_counting_to(command);
  command.add_option("--recipe", recipe, "write the recipe here too, as JSON")->type_name("FILE");
  command.add_flag("--force", force, "replace an existing output");
}

void FitArgs::add_effort_to(CLI::App& command) {
  under(command, kHow)
      .add_option(
          "--gptq", feedback,
          "GPTQ error feedback; about halves the loss below 4 bits. auto: use it if it costs under 16 "
          "core-hours and lowers held-out KL")
      ->check(CLI::IsMember({"auto", "on", "off"}))
      ->capture_default_str();
  command.add_option("--feedback", feedback)
      ->check(CLI::IsMember({"auto", "on", "off"}))
      ->group("");  // old name
  add_fold_to(under(command, kHow), fold);
  command.add_flag("--dry-run", dry_run, "show the plan, write no model");
  command.add_flag("--estimate", estimate, "say what it would take, time, memory, disk, and do nothing");
  command.add_flag("--strict", strict,
                    "end with an error at the start where something would be left out that makes the result better, such "
                    "as error feedback for want of memory");
  command.add_flag("--decide-anew", decide_anew,
                    "choose by the memory and disk that are free now, and search for plans anew; else a fit that is started "
                    "again keeps to what it chose and found at first");
}

FitRequest FitArgs::request(const std::vector<NamedBudget>& budgets) const {
  return {.model = model.model,
          .sizes = sizes(budgets),
          .evidence = {.inputs = model.files(),
                       .measuring = measure.options(),
                       .calibration = calibration.request(),
                       .feedback = parse_feedback(feedback),
                       .fold = fold,
                       .strict = strict,
                       .decide_anew = decide_anew},
          .state = measure.state,
          .existing = existing(),
          .dry_run = dry_run};
}

std::vector<std::string> FitArgs::outputs(const std::vector<NamedBudget>& budgets) const {
  if (!out.empty()) return output_names(out, budgets);
  std::vector<std::string> names;
  for (const NamedBudget& budget : budgets) {
    names.push_back(dry_run ? "" : default_output(model.model, budget, measure.runtime));
    if (!dry_run) log_line(str("output: ", names.back(), " (-o names another)"));
  }
  return names;
}

std::vector<FitSize> FitArgs::sizes(const std::vector<NamedBudget>& budgets) const {
  if (budgets.empty())
    throw Error{"no budget named", "", "--size, e.g. 11GB, or --bpw, e.g. 4.25", Fault::usage};
  const std::vector<std::string> names = outputs(budgets);
  const std::vector<std::string> recipes =
      recipe.empty() ? std::vector<std::string>(budgets.size()) : output_names(recipe, budgets);
  std::vector<FitSize> sizes;
  for (size_t i = 0; i < budgets.size(); ++i) {
    sizes.push_back({plan.options(), names[i], recipes[i]});
    sizes.back().plan.budget = budgets[i].budget;
  }
  return sizes;
}

}  // namespace snug::cli
