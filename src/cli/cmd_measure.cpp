#include <nlohmann/json.hpp>

#include "base/json_reader.hpp"
#include "base/str.hpp"
#include "base/units.hpp"
#include "cli/commands.hpp"
#include "cli/common.hpp"
#include "cli/options/groups.hpp"
#include "cli/options/memory_option.hpp"
#include "cli/options/options.hpp"
#include "cli/text/text_table.hpp"
#include "fit/check_recipes.hpp"
#include "fit/evidence.hpp"
#include "recipe/profile.hpp"
#include "report/measured.hpp"
#include "snug/error.hpp"

namespace snug::cli {
namespace {

struct Args {
  CommonArgs common;
  MemoryOption memory;
  ModelArgs model;
  MeasureArgs measure;
  CalibrationArgs calibration;
  std::string profile;
  int64_t check = 0;
  bool force = false, fold = false;

  /// What tells it from another on the same model: parts may run side by side.
  std::string job() const {
    return str(measure.state, measure.shard.empty() ? "" : str(measure.state.empty() ? "" : ", ", "part ", measure.shard));
  }
};

/// How well predictions hold.
nlohmann::ordered_json to_json(const std::vector<MeasuredRecipe>& checked) {
  const report::Agreement agreement = report::agreement_of(checked);
  nlohmann::ordered_json json{{"recipes", agreement.points},
                              {"rank_correlation", agreement.rank_correlation},
                              {"median_factor", agreement.median_factor}};
  for (const MeasuredRecipe& recipe : checked)
    json["points"].push_back({{"label", recipe.label},
                              {"bytes", recipe.bytes},
                              {"predicted", recipe.predicted},
                              {"measured", recipe.measured},
                              {"se", recipe.error},
                              {"perplexity", recipe.perplexity},
                              {"same_top", recipe.same_top}});
  return json;
}

std::string to_text(const std::vector<MeasuredRecipe>& checked) {
  const report::Agreement agreement = report::agreement_of(checked);
  std::string text = "predicted and measured divergence of whole recipes, nats per token\n";
  for (const MeasuredRecipe& recipe : checked)
    text += str(left(str("  ", recipe.label), 24), right(show_count(recipe.bytes), 16),
                right(fixed(recipe.predicted, 6), 12), right(fixed(recipe.measured, 6), 12), "\n");
  return text + str("rank correlation ", fixed(agreement.rank_correlation, 4), ", median factor ",
                    fixed(agreement.median_factor, 3), " over ", agreement.points, " recipes\n");
}

nlohmann::ordered_json to_json(const MeasureReport& report, const std::vector<MeasuredRecipe>& checked,
                               const std::filesystem::path& state) {
  nlohmann::ordered_json formats = nlohmann::ordered_json::object();
  for (const auto& [name, nanoseconds] : report.format_nanoseconds)
    formats[name] = static_cast<double>(nanoseconds) * 1e-9;
  nlohmann::ordered_json json{{"state", state.string()},
                              {"measured", report.measured},
                              {"reused", report.reused},
                              {"rows", report.rows},
                              {"weights_encoded", report.weights_encoded},
                              {"seconds", report.seconds},
                              {"encoder_seconds", formats}};
  if (!checked.empty()) json["checked"] = to_json(checked);
  return json;
}

std::string to_text(const MeasureReport& report, const std::vector<MeasuredRecipe>& checked,
                    const std::filesystem::path& state) {
  std::string text =
      str("measured ", show_count(report.measured), " losses, ", show_count(report.reused), " were known; ",
          show_count(report.rows), " rows, ", show_count(report.weights_encoded), " weights encoded in ",
          show_duration(report.seconds), "\n");
  for (const auto& [name, nanoseconds] : report.format_nanoseconds)
    text += str("  ", name, std::string(name.size() < 8 ? 8 - name.size() : 1, ' '), nanoseconds / 1'000'000,
                " ms\n");
  if (!checked.empty()) text += to_text(checked);
  return text + str("kept in ", state.string(), "\n");
}

std::vector<MeasuredRecipe> check(const Args& args, Evidence& evidence) {
  if (!evidence.run || evidence.run->holdout_chunks == 0)
    throw Error{"there is no text to run recipes on", "--check", "give a longer one with --calib", Fault::usage};
  const CalibrationRun& run = *evidence.run;
  RecipeEvaluator judge{*run.model,      evidence.columns(), args.measure.options().effort,
                    evidence.state, run.text.tokens,    run.judging()};
  return check_recipes(evidence.profile, evidence.model, evidence.columns(), judge, run.probing.chunks, args.check,
                       evidence.state);
}

int run(const Args& args) {
  args.common.apply();
  args.memory.apply();
  const ModelSource model = open_model(args.model.model);
  const std::filesystem::path path = args.measure.state_path(model);
  const Existing existing = args.force ? Existing::replace : Existing::refuse;
  guard_for(existing, args.model, args.calibration.calib).writes(args.profile).keeps(path).check();
  Evidence evidence = gather(model, {.state = path,
                                     .options = {.inputs = args.model.files(),
                                                 .measuring = args.measure.options(),
                                                 .calibration = args.calibration.request(),
                                                 .feedback = Feedback::off,
                                                 .fold = args.fold}});
  const auto checked = args.check > 0 ? check(args, evidence) : std::vector<MeasuredRecipe>{};
  // Last of all: stopped before, the same command finds no file of its own in its way.
  if (!args.profile.empty()) write_file(args.profile, to_json(evidence.profile), existing);
  print_out(args.common.json ? json_text(to_json(evidence.measured, checked, path), 2)
                             : to_text(evidence.measured, checked, path));
  return 0;
}

}  // namespace

void add_measure(CLI::App& app, int& exit_code) {
  auto args = std::make_shared<Args>();
  auto* command = app.add_subcommand("measure", "measure the error of every tensor in every format");
  args->model.add_to(*command);
  args->measure.add_to(*command, true);
  args->calibration.add_to(*command);
  args->memory.add_to(*command);
  under(*command, kWhere)
      .add_option("--profile", args->profile, "write losses and bytes of every tensor and format here, as JSON")
      ->type_name("FILE");
  command->add_flag("--force", args->force, "replace an existing --profile");
  add_fold_to(under(*command, kHow), args->fold);
  under(*command, kHow)
      .add_option("--check", args->check,
                   "then run so many whole recipes, optimal, presets and random ones, to see how far "
                   "predictions hold; "
                   "`snug report` shows them")
      ->check(CLI::Range(3, 10000));
  args->common.add_to(*command);
  command->footer(
      "Examples:\n"
      "  snug measure model-f16.gguf --imatrix imatrix.gguf\n"
      "  snug measure model-f16.gguf --imatrix imatrix.gguf --shard 0/4 --state part0.snug-state");
  command->callback([args, &exit_code] {
    exit_code = guarded_job({"measure", args->model.model, args->job()}, [&] { return run(*args); });
  });
}

}  // namespace snug::cli
