#include <chrono>
#include <cstdio>

#include "base/events.hpp"
#include "base/printable.hpp"
#include "base/str.hpp"
#include "base/units.hpp"
#include "cli/commands.hpp"
#include "cli/options/fit_args.hpp"
#include "cli/terminal/terminal_events.hpp"
#include "cli/text/ladder_report.hpp"
#include "cli/text/report_table.hpp"
#include "snug/fit.hpp"

namespace snug::cli {
namespace {

/// Nobody who asked for quiet is to find out later.
void tell_what_was_left_out(const std::vector<FitResult>& results) {
  for (const FitResult& result : results)
    if (!result.recipe.left_out.empty())
      std::fprintf(stderr, "snug: %s\n", terminal_text(left_out_line(result.recipe)).c_str());
}

int run(const FitArgs& args) {
  args.common.apply();
  args.memory.apply();
  const auto start = std::chrono::steady_clock::now();
  std::vector<NamedBudget> budgets = args.plan.budgets();
  if (args.estimate) {
    print_folded(fit_estimate(args.request(budgets), terminal_events()));
    return 0;
  }
  const Projector projector{args.projector, args.model.model, args.out, args.existing()};
  for (NamedBudget& each : budgets) each.budget = projector.rest_of(each.budget);
  const std::vector<FitResult> results = fit(args.request(budgets), terminal_events());
  if (!args.dry_run) projector.write();
  if (args.common.quiet) tell_what_was_left_out(results);
  if (args.common.json)
    print_out(fits_json(budgets, results));
  else
    print_folded(fits_text(budgets, results));
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  log_line(str("total ", show_duration(seconds.count())));
  return 0;
}

}  // namespace

void add_fit(CLI::App& app, int& exit_code) {
  auto args = std::make_shared<FitArgs>();
  auto* command = app.add_subcommand("fit", "fit a model into a size: measure, plan, quantize, verify");
  args->add_to(*command);
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
