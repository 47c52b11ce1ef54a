#include <nlohmann/json.hpp>

#include "base/atomic_file.hpp"
#include "base/memory.hpp"
#include "base/parallel.hpp"
#include "base/progress.hpp"
#include "base/str.hpp"
#include "base/units.hpp"
#include "cli/calibration_options.hpp"
#include "cli/commands.hpp"
#include "cli/common.hpp"
#include "cli/text/judged_text.hpp"
#include "cli/options/options.hpp"
#include "cli/own_sources.hpp"
#include "cli/text/report_table.hpp"
#include "cli/text/written_text.hpp"
#include "fit/closed_loop.hpp"
#include "fit/judged_store.hpp"
#include "fit/profile_store.hpp"
#include "artifact/quantize_model.hpp"
#include "snug/error.hpp"

namespace snug::cli {
namespace {

struct Args {
  CommonArgs common;
  ModelArgs model;
  MeasureArgs measure;
  CalibrationArgs calibration;
  PlanArgs plan;
  std::string out, recipe, feedback = "auto";
  bool dry_run = false, force = false;
};

std::filesystem::path folder_of(const std::string& file) {
  const std::filesystem::path folder = std::filesystem::path{file}.parent_path();
  return folder.empty() ? "." : folder;
}

/// What can be refused before hours of work is refused now.
void check_output(const Args& args, const PlanOptions& options) {
  for (const std::string& out : {args.out, args.recipe})
    check_no_input(out, {args.model.model, args.model.imatrix, args.model.moments, args.calibration.calib});
  if (args.dry_run) return;
  if (args.out.empty())
    throw Error{"no output named", "", "add -o OUT.gguf, or --dry-run to see the plan alone", Fault::usage};
  AtomicFile{args.out,
             args.force ? Existing::replace : Existing::refuse};  // proves that the folder can be written
  std::error_code unknown;
  const auto space = std::filesystem::space(folder_of(args.out), unknown);
  if (!unknown && options.budget.counts_whole_files() && static_cast<int64_t>(space.available) < options.budget.bytes(0))
    notice(str("the disk of the output has ", show_size(static_cast<int64_t>(space.available)),
               " free, the budget is ", show_size(options.budget.bytes(0))));
}

/// What the run that is asked for needs, beyond the options.
struct Work {
  const Args& args;
  PlanOptions options;
  MeasureOptions measuring;
  const ModelSource& model;
  const SecondMoments* moments;
  Store& state;
};

/// Plans, and where the model can be run closes the loop.
LoopResult plan_and_judge(const Work& work, const std::optional<Calibrated>& calibrated,
                          const Profile& profile, const Importance* importance) {
  LoopResult result;
  const bool judges = calibrated && calibrated->held_chunks > 0;
  if (judges && work.options.budget.bytes(profile) > available_memory()) {
    notice("the output would not fit into the memory that is free: it is not run against the original");
  } else if (judges) {
    RecipeJudge judge{*calibrated->model,      importance,           work.measuring.effort, work.state,
                      calibrated->text.tokens, calibrated->judging()};
    LoopOptions loop;
    loop.held_first = calibrated->probing.chunks;
    loop.moments = work.moments;
    result = close_loop(profile, work.model, importance, work.options, judge, loop);
  }
  if (result.judged.empty()) {
    result.plan = Planner{profile, work.model, importance, work.options}.plan();
    result.plan.recipe.effort = work.measuring.effort;
    result.plan.recipe.error_feedback = work.moments != nullptr;
  }
  result.plan.recipe.runtime = work.measuring.runtime;
  return result;
}

nlohmann::ordered_json json_of(const Judged& judged) {
  return {{"recipe", judged.label},
          {"tensor_bytes", judged.tensor_bytes},
          {"predicted", judged.predicted},
          {"measured", judged.measured.value},
          {"standard_error", judged.measured.error},
          {"change", judged.against_best.value},
          {"change_standard_error", judged.against_best.error},
          {"accepted", judged.accepted}};
}

nlohmann::ordered_json json_of(const ProbeResults& probes) {
  return {{"tensors", probes.tensors.size()},
          {"measured", probes.measured},
          {"reused", probes.reused},
          {"seconds", probes.seconds},
          {"forward_passes", probes.forward_passes}};
}

std::string json_of(const LoopResult& result, const WrittenModel* written, const MeasureReport& report,
                    const ProbeResults& probes) {
  nlohmann::ordered_json document{{"recipe", nlohmann::ordered_json::parse(to_json(result.plan.recipe))},
                                  {"measured", report.measured},
                                  {"reused", report.reused},
                                  {"measure_seconds", report.seconds}};
  if (!probes.tensors.empty()) document["probes"] = json_of(probes);
  for (const Judged& judged : result.judged) document["judged"].push_back(json_of(judged));
  if (written) {
    document["written_bytes"] = written->bytes;
    for (const auto& file : written->files) document["files"].push_back(file.string());
  }
  return document.dump(2);
}

int run(const Args& args) {
  args.common.apply();
  const PlanOptions options = args.plan.options();
  check_output(args, options);
  const ModelSource model = open_model(args.model.model);
  std::optional<Importance> importance;
  if (!args.model.imatrix.empty()) importance = args.model.load_importance(model);
  Planner{unmeasured_profile(model, args.measure.options()), model, importance ? &*importance : nullptr,
          options}
      .check_reachable();

  MeasureReport report;
  Profile profile;
  ProbeResults probes;
  LoopResult result;
  std::optional<SecondMoments> moments;
  std::string moments_path;
  {
    const auto path = args.measure.state_path(args.model.model, args.out.empty() ? "." : folder_of(args.out));
    Store state = Store::open(path, Access::write);
    const std::optional<Calibrated> calibrated = args.calibration.open(args.model.model, state);
    const ModelArgs sources =
        calibrated ? with_own_sources(args.model, {folder_of(args.out), args.feedback}, model, *calibrated)
                   : args.model;
    if (!importance) importance = sources.load_importance(model);
    const Importance* columns = importance ? &*importance : nullptr;
    const MeasureOptions measuring = args.measure.options();
    if (args.feedback != "off") moments = sources.load_moments();
    moments_path = sources.moments.empty() ? sources.imatrix : sources.moments;
    const Work work{args, options, measuring, model, moments ? &*moments : nullptr, state};
    profile = measure(model, columns, state, measuring, &report);
    if (calibrated) probes = apply_calibration(*calibrated, profile, columns, state);
    save_profile(state, profile, model, columns);
    result = plan_and_judge(work, calibrated, profile, columns);
    save_judgements(state, result);
  }
  const Importance* columns = importance ? &*importance : nullptr;
  const Recipe& recipe = result.plan.recipe;
  const Existing existing = args.force ? Existing::replace : Existing::refuse;
  if (!args.recipe.empty()) write_file(args.recipe, to_json(recipe), existing);
  std::optional<WrittenModel> written;
  if (!args.dry_run) {
    const SecondMoments* used = recipe.error_feedback ? &*moments : nullptr;
    written = quantize_model(model, columns, recipe, args.out, existing, used);
    verify_written(model, columns, recipe, *written, used);
  }
  if (args.common.json)
    print_out(json_of(result, written ? &*written : nullptr, report, probes));
  else
    print_out(report_table(profile, recipe) + judged_text(result) +
              (written ? written_text(*written) : "nothing written (--dry-run)\n") +
              (recipe.error_feedback ? str("error feedback with second moments from ", moments_path,
                                           ", which `quantize --recipe` needs too (--moments)\n")
                                     : ""));
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
      ->add_option("--feedback", args->feedback,
                   "error feedback: errors of a row make up for each other, which about halves the loss at "
                   "low bits; auto: "
                   "where it takes less than 16 hours of one core and proves better")
      ->check(CLI::IsMember({"auto", "on", "off"}))
      ->capture_default_str();
  command->add_flag("--dry-run", args->dry_run, "show the plan, write no model");
  command->add_flag("--force", args->force, "replace an existing output");
  args->measure.add_to(*command, false);
  args->calibration.add_to(*command);
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
