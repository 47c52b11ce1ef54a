#include "base/str.hpp"
#include "cli/commands.hpp"
#include "cli/common.hpp"
#include "cli/options/memory_option.hpp"
#include "cli/options/options.hpp"
#include "cli/terminal_events.hpp"
#include "cli/text/fit_report.hpp"
#include "snug/fit.hpp"
#include "snug/error.hpp"

namespace snug::cli {
namespace {

struct Args {
  CommonArgs common;
  MemoryOption memory;
  ModelArgs model;
  MeasureArgs measure;
  CalibrationArgs calibration;
  PlanArgs plan;
  std::string out, recipe, feedback = "auto";
  bool dry_run = false, force = false;
};

Feedback parse_feedback(const std::string& text) {
  if (text == "on") return Feedback::on;
  return text == "off" ? Feedback::off : Feedback::automatic;
}

FitRequest request_of(const Args& args) {
  return {.model = args.model.model,
          .output = args.out,
          .dry_run = args.dry_run,
          .recipe = args.recipe,
          .state = args.measure.state,
          .existing = args.force ? Existing::replace : Existing::refuse,
          .inputs = args.model.files(),
          .plan = args.plan.options(),
          .measuring = args.measure.options(),
          .calibration = args.calibration.request(),
          .feedback = parse_feedback(args.feedback)};
}

int run(const Args& args) {
  args.common.apply();
  args.memory.apply();
  if (!args.dry_run && args.out.empty())
    throw Error{"no output named", "", "add -o OUT.gguf, or --dry-run to see the plan alone", Fault::usage};
  const FitResult result = fit(request_of(args), terminal_events());
  print_out(args.common.json ? fit_json(result) : fit_text(result));
  return 0;
}

}  // namespace

void add_fit(CLI::App& app, int& exit_code) {
  auto args = std::make_shared<Args>();
  auto* command = app.add_subcommand("fit", "fit a model into a size: measure, plan, quantize, verify");
  args->model.add_to(*command);
  args->model.add_moments_to(*command);
  args->plan.add_to(*command);
  command->add_option("-o,--out", args->out, "the GGUF to write");
  command->add_option("--recipe", args->recipe, "write the recipe here too, as JSON");
  command
      ->add_option("--gptq", args->feedback,
                   "GPTQ error feedback; about halves the loss below 4 bits. auto: use it if it costs under 16 "
                   "core-hours and lowers held-out KL")
      ->check(CLI::IsMember({"auto", "on", "off"}))
      ->capture_default_str();
  command->add_option("--feedback", args->feedback)->check(CLI::IsMember({"auto", "on", "off"}))->group("");  // old name
  command->add_flag("--dry-run", args->dry_run, "show the plan, write no model");
  command->add_flag("--force", args->force, "replace an existing output");
  args->measure.add_to(*command, false);
  args->calibration.add_to(*command);
  args->memory.add_to(*command);
  args->common.add_to(*command);
  command->footer(
      "Stopped at any instant, the same command goes on where it was.\n"
      "Examples:\n"
      "  snug fit model-f16.gguf --imatrix imatrix.gguf --size 11GB -o out.gguf\n"
      "  snug fit model-bf16-00001-of-00003.gguf --imatrix imatrix.gguf --bpw 3.5 -o out.gguf\n"
      "  snug fit model-f16.gguf --bpw 4.25 --pin 'token_embd=q8_0' --min q3_K --dry-run");
  command->callback([args, &exit_code] { exit_code = guarded([&] { return run(*args); }); });
}

}  // namespace snug::cli
