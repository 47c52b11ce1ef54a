#include <chrono>
#include <cstdio>

#include "base/events.hpp"
#include "base/str.hpp"
#include "base/units.hpp"
#include "base/without_controls.hpp"
#include "cli/commands.hpp"
#include "cli/common.hpp"
#include "cli/options/groups.hpp"
#include "cli/options/memory_option.hpp"
#include "cli/options/options.hpp"
#include "cli/projector.hpp"
#include "cli/terminal_events.hpp"
#include "cli/text/fit_report.hpp"
#include "cli/text/ladder_report.hpp"
#include "cli/text/report_table.hpp"
#include "snug/error.hpp"
#include "snug/fit.hpp"

namespace snug::cli {
namespace {

struct Args {
  CommonArgs common;
  MemoryOption memory;
  ModelArgs model;
  MeasureArgs measure;
  CalibrationArgs calibration;
  PlanArgs plan;
  ProjectorArgs projector;
  std::string out, recipe, feedback = "auto";
  bool dry_run = false, estimate = false, force = false, strict = false, decide_anew = false;

  Existing existing() const { return force ? Existing::replace : Existing::refuse; }
};

Feedback parse_feedback(const std::string& text) {
  if (text == "on") return Feedback::on;
  return text == "off" ? Feedback::off : Feedback::automatic;
}

FitRequest request_of(const Args& args) {
  return {.model = args.model.model,
          .output = {},
          .dry_run = args.dry_run,
          .recipe = {},
          .state = args.measure.state,
          .existing = args.existing(),
          .inputs = args.model.files(),
          .plan = args.plan.options(),
          .measuring = args.measure.options(),
          .calibration = args.calibration.request(),
          .feedback = parse_feedback(args.feedback),
          .strict = args.strict,
          .decide_anew = args.decide_anew};
}

/// A name that nobody gave is said before the work.
std::vector<std::string> outputs_of(const Args& args, const std::vector<NamedBudget>& budgets) {
  if (!args.out.empty()) return output_names(args.out, budgets);
  std::vector<std::string> names;
  for (const NamedBudget& budget : budgets) {
    names.push_back(args.dry_run ? "" : default_output(args.model.model, budget, args.measure.runtime));
    if (!args.dry_run) log_line(str("output: ", names.back(), " (-o names another)"));
  }
  return names;
}

std::vector<FitStep> steps_of(const Args& args, const std::vector<NamedBudget>& budgets) {
  if (budgets.empty())
    throw Error{"no budget named", "", "--size, e.g. 11GB, or --bpw, e.g. 4.25", Fault::usage};
  const std::vector<std::string> outputs = outputs_of(args, budgets);
  const std::vector<std::string> recipes =
      args.recipe.empty() ? std::vector<std::string>(budgets.size()) : output_names(args.recipe, budgets);
  std::vector<FitStep> steps;
  for (size_t i = 0; i < budgets.size(); ++i) steps.push_back({budgets[i].budget, outputs[i], recipes[i]});
  return steps;
}

/// Nobody who asked for quiet is to find out later.
void tell_what_was_left_out(const std::vector<FitResult>& results) {
  for (const FitResult& result : results)
    if (!result.recipe.left_out.empty())
      std::fprintf(stderr, "snug: %s\n", without_controls(left_out_line(result.recipe)).c_str());
}

int run(const Args& args) {
  args.common.apply();
  args.memory.apply();
  const auto start = std::chrono::steady_clock::now();
  std::vector<NamedBudget> budgets = args.plan.budgets();
  if (args.estimate) {
    print_folded(fit_estimate(request_of(args), steps_of(args, budgets), terminal_events()));
    return 0;
  }
  const Projector projector{args.projector, args.model.model, args.out, args.existing()};
  for (NamedBudget& each : budgets) each.budget = projector.rest_of(each.budget);
  const auto results = fit_ladder(request_of(args), steps_of(args, budgets), terminal_events());
  if (!args.dry_run) projector.write();
  if (args.common.quiet) tell_what_was_left_out(results);
  if (args.common.json)
    print_out(results.size() == 1 ? fit_json(results.front()) : ladder_json(budgets, results));
  else
    print_folded(results.size() == 1 ? fit_text(results.front()) : ladder_text(budgets, results));
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  log_line(str("total ", show_duration(seconds.count())));
  return 0;
}

}  // namespace

void add_fit(CLI::App& app, int& exit_code) {
  auto args = std::make_shared<Args>();
  auto* command = app.add_subcommand("fit", "fit a model into a size: measure, plan, quantize, verify");
  args->model.add_to(*command);
  args->model.add_moments_to(*command);
  args->plan.add_to(*command, true);
  under(*command, kWhere)
      .add_option("-o,--out", args->out,
                  "the file, or for mlx the folder, to write; {bpw}, {size} and {label} in it stand for the budget "
                  "(default: MODEL's name and the budget)")
      ->type_name("FILE");
  args->projector.add_to(*command);
  args->projector.add_counting_to(*command);
  command->add_option("--recipe", args->recipe, "write the recipe here too, as JSON")->type_name("FILE");
  command->add_flag("--force", args->force, "replace an existing output");
  under(*command, kHow)
      .add_option(
          "--gptq", args->feedback,
          "GPTQ error feedback; about halves the loss below 4 bits. auto: use it if it costs under 16 "
          "core-hours and lowers held-out KL")
      ->check(CLI::IsMember({"auto", "on", "off"}))
      ->capture_default_str();
  command->add_option("--feedback", args->feedback)
      ->check(CLI::IsMember({"auto", "on", "off"}))
      ->group("");  // old name
  command->add_flag("--dry-run", args->dry_run, "show the plan, write no model");
  command->add_flag("--estimate", args->estimate, "say what it would take, time, memory, disk, and do nothing");
  command->add_flag("--strict", args->strict,
                    "end with an error at the start where something would be left out that makes the result better, such "
                    "as error feedback for want of memory");
  command->add_flag("--decide-anew", args->decide_anew,
                    "choose by the memory and disk that are free now; else a fit that is started again keeps to what it "
                    "chose at first");
  args->measure.add_to(*command, false);
  args->calibration.add_to(*command);
  args->memory.add_to(*command);
  args->common.add_to(*command);
  command->footer(
      "Stopped at any instant, the same command goes on where it was.\n"
      "Examples:\n"
      "  snug fit ./gemma-4-26b-a4b-it --size 11GB -o out.gguf\n"
      "  snug fit ./gemma-3-4b-it --size 3GB --mmproj mmproj.gguf --mmproj-in-size -o out.gguf\n"
      "  snug fit model-f16.gguf --imatrix imatrix.gguf --size 11GB -o out.gguf\n"
      "  snug fit model-f16.gguf --bpw 2.5,3,3.5,4.25 -o 'model-{bpw}.gguf'\n"
      "  snug fit model-bf16-00001-of-00003.gguf --imatrix imatrix.gguf --bpw 3.5 -o out.gguf\n"
      "  snug fit model-f16.gguf --bpw 4.25 --pin 'token_embd=q8_0' --min q3_K --dry-run");
  command->callback([args, &exit_code] { exit_code = guarded([&] { return run(*args); }); });
}

}  // namespace snug::cli
