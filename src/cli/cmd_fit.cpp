#include <nlohmann/json.hpp>

#include "base/atomic_file.hpp"
#include "base/progress.hpp"
#include "base/str.hpp"
#include "base/units.hpp"
#include "cli/commands.hpp"
#include "cli/common.hpp"
#include "cli/options.hpp"
#include "cli/probe_options.hpp"
#include "cli/report_table.hpp"
#include "cli/written_text.hpp"
#include "fit/profile_store.hpp"
#include "fit/quantize_model.hpp"
#include "snug/error.hpp"

namespace snug::cli {
namespace {

struct Args {
  CommonArgs common;
  ModelArgs model;
  MeasureArgs measure;
  ProbeArgs probe;
  PlanArgs plan;
  std::string out, recipe;
  bool dry_run = false, force = false;
};

std::filesystem::path folder_of(const std::string& file) {
  const std::filesystem::path folder = std::filesystem::path{file}.parent_path();
  return folder.empty() ? "." : folder;
}

/// What can be refused before hours of work is refused now.
void check_output(const Args& args, const PlanOptions& options) {
  if (args.dry_run) return;
  if (args.out.empty())
    throw Error{"no output named", "", "add -o OUT.gguf, or --dry-run to see the plan alone", Fault::usage};
  AtomicFile{args.out, args.force ? Existing::replace : Existing::refuse};  // proves that the folder can be written
  std::error_code unknown;
  const auto space = std::filesystem::space(folder_of(args.out), unknown);
  if (!unknown && options.size_bytes && static_cast<int64_t>(space.available) < *options.size_bytes)
    notice(str("the disk of the output has ", show_size(static_cast<int64_t>(space.available)), " free, the budget is ",
               show_size(*options.size_bytes)));
}

std::string json_of(const Plan& plan, const WrittenModel* written, const MeasureReport& report) {
  nlohmann::ordered_json document{{"recipe", nlohmann::ordered_json::parse(to_json(plan.recipe))},
                                  {"measured", report.measured},
                                  {"reused", report.reused},
                                  {"measure_seconds", report.seconds}};
  if (written) {
    document["written_bytes"] = written->bytes;
    for (const auto& file : written->files) document["files"].push_back(file.string());
  }
  return document.dump(2);
}

int run(const Args& args) {
  args.common.apply();
  const PlanOptions options = args.plan.options();
  const MeasureOptions measuring = args.measure.options();
  check_output(args, options);
  const gguf::Reader model{args.model.model};
  const std::optional<Importance> importance = args.model.load_importance(model);
  const Importance* columns = importance ? &*importance : nullptr;
  Planner{unmeasured_profile(model, measuring), model, columns, options}.check_reachable();

  MeasureReport report;
  Profile profile;
  {
    const auto path = args.measure.state_path(args.model.model, args.out.empty() ? "." : folder_of(args.out));
    Store state = Store::open(path, Access::write);
    profile = measure(model, columns, state, measuring, &report);
    args.probe.apply(profile, args.model.model, columns, state);
    save_profile(state, profile, model, columns);
  }
  Plan plan = Planner{profile, model, columns, options}.plan();
  plan.recipe.effort = measuring.effort;
  plan.recipe.runtime = measuring.runtime;
  const Existing existing = args.force ? Existing::replace : Existing::refuse;
  if (!args.recipe.empty()) write_file(args.recipe, to_json(plan.recipe), existing);
  std::optional<WrittenModel> written;
  if (!args.dry_run) {
    const std::optional<SecondMoments> loaded = args.model.load_moments(plan.recipe.effort);
    const SecondMoments* moments = loaded ? &*loaded : nullptr;
    written = quantize_model(model, columns, plan.recipe, args.out, existing, moments);
    verify_written(model, columns, plan.recipe, *written, moments);
  }
  if (args.common.json) {
    print_out(json_of(plan, written ? &*written : nullptr, report));
  } else {
    print_out(report_table(profile, plan.recipe) + (written ? written_text(*written) : "nothing written (--dry-run)\n"));
  }
  return 0;
}

}  // namespace

void add_fit(CLI::App& app, int& exit_code) {
  auto args = std::make_shared<Args>();
  auto* command = app.add_subcommand("fit", "fit a model into a size: measure, plan, quantize, verify");
  args->model.add_to(*command);
  args->plan.add_to(*command);
  command->add_option("-o,--out", args->out, "the GGUF to write");
  command->add_option("--recipe", args->recipe, "write the recipe here too, as JSON");
  command->add_flag("--dry-run", args->dry_run, "show the plan, write no model");
  command->add_flag("--force", args->force, "replace an existing output");
  args->measure.add_to(*command, false);
  args->probe.add_to(*command);
  args->common.add_to(*command);
  command->footer("Stopped at any instant, the same command goes on where it was.\n"
                  "Examples:\n"
                  "  snug fit model-f16.gguf --imatrix imatrix.gguf --size 11GB -o out.gguf\n"
                  "  snug fit model-bf16-00001-of-00003.gguf --imatrix imatrix.gguf --bpw 3.5 -o out.gguf\n"
                  "  snug fit model-f16.gguf --bpw 4.25 --pin 'token_embd=q8_0' --min q3_K --dry-run");
  command->callback([args, &exit_code] { exit_code = guarded([&] { return run(*args); }); });
}

}  // namespace snug::cli
