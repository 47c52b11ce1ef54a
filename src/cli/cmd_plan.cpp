#include <nlohmann/json.hpp>

#include "base/files/atomic_file.hpp"
#include "base/progress.hpp"
#include "base/str.hpp"
#include "cli/commands.hpp"
#include "cli/common.hpp"
#include "cli/options/groups.hpp"
#include "cli/options/options.hpp"
#include "cli/text/module_report.hpp"
#include "cli/text/report_table.hpp"
#include "fit/evidence.hpp"
#include "fit/solution_store.hpp"
#include "plan/mlx_recipe.hpp"
#include "snug/error.hpp"

namespace snug::cli {
namespace {

struct Args {
  CommonArgs common;
  ModelArgs model;
  MeasureArgs measure;
  CalibrationArgs calibration;
  PlanArgs plan;
  std::string out, curve, certificate, preset;
  int64_t curve_points = 200;
  bool force = false;
};

std::string curve_csv(const std::vector<Planner::CurvePoint>& curve) {
  std::string text = "file_bytes,tensor_bytes,bpw,loss_nats,on_hull\n";
  for (const auto& point : curve)
    text += str(point.file_bytes, ",", point.tensor_bytes, ",", point.bpw, ",", nats(point.loss),
                ",", point.on_hull ? 1 : 0, "\n");
  return text;
}

std::string curve_json(const std::vector<Planner::CurvePoint>& curve) {
  auto points = nlohmann::ordered_json::array();
  for (const auto& point : curve) {
    auto changes = nlohmann::ordered_json::object();
    for (const auto& [tensor, format] : point.changes) changes[tensor] = format_name(format);
    points.push_back({{"file_bytes", point.file_bytes}, {"tensor_bytes", point.tensor_bytes}, {"bpw", point.bpw},
                      {"loss_nats", nats(point.loss)}, {"on_hull", point.on_hull},
                      {"changes", changes}});
  }
  return nlohmann::ordered_json{{"snug_curve", 1}, {"points", points}}.dump(1);
}

/// The problem as the solver saw it and the proof of its bound: what an independent check needs.
std::string certificate_json(const Plan& plan) {
  auto tensors = nlohmann::ordered_json::array();
  for (const auto& choices : plan.problem.tensors) {
    auto rows = nlohmann::ordered_json::array();
    for (const Choice& choice : choices) rows.push_back({choice.bytes, choice.loss});
    tensors.push_back(rows);
  }
  return nlohmann::ordered_json{{"snug_certificate", 1},
                                {"budget_bytes", plan.problem.budget_bytes},
                                {"loss_pico_nats", plan.solution.loss},
                                {"bound_pico_nats", plan.solution.certified_bound},
                                {"pick", plan.solution.pick},
                                {"proof", to_text(plan.solution.certificate)},
                                {"bytes_and_losses", tensors}}
      .dump();
}

/// A published recipe, which nothing is measured for.
int show_preset(const Args& args) {
  if (args.measure.runtime != "mlx")
    throw Error{str("presets are planned for MLX alone, not for ", args.measure.runtime), "--preset",
                "add --runtime mlx, or see `snug quantize --preset NAME --dry-run`", Fault::usage};
  const Existing existing = args.force ? Existing::replace : Existing::refuse;
  guard_for(existing, args.model, args.calibration.calib).writes(args.out).check();
  const ModelSource model = open_model(args.model.model);
  const std::optional<Importance> importance = load_importance(args.model.files(), model);
  const Importance* columns = importance ? &*importance : nullptr;
  Recipe recipe = mlx_preset_recipe(model, columns, args.preset);
  const FileLayout files = make_artifact(model, columns, recipe.runtime)->layout(recipe);
  const ModuleTable table = module_table(model, recipe);
  recipe.file_bytes = files.bytes;
  if (!args.out.empty()) write_file(args.out, to_json(recipe), existing);
  print_out(args.common.json ? module_report_json(table, recipe, files).dump(1) : module_report(table, recipe, files));
  return 0;
}

int run(Args args) {
  args.common.apply();
  if (!args.preset.empty()) return show_preset(args);
  if (!args.curve.empty() && args.plan.budgets().empty())
    args.plan.bpws = {"64"};  // the curve has every budget
  PlanOptions options = args.plan.options();
  options.runtime = args.measure.runtime;
  const Existing existing = args.force ? Existing::replace : Existing::refuse;
  const ModelSource model = open_model(args.model.model);
  const std::filesystem::path path = args.measure.state_path(model);
  guard_for(existing, args.model, args.calibration.calib)
      .writes(args.out)
      .writes(args.certificate)
      .keeps(path)
      .check();
  Evidence evidence = gather(model, {.state = path,
                                     .options = {.inputs = args.model.files(),
                                                 .measuring = args.measure.options(),
                                                 .calibration = args.calibration.request(),
                                                 .feedback = Feedback::off},
                                     .plans = {options}});
  Planner planner{evidence.profile, evidence.model, evidence.columns(), options};
  planner.solved_by(remembering_solver(evidence.state));
  if (!args.curve.empty()) {
    const auto curve = planner.curve(args.curve_points);
    print_out(args.curve == "json" ? curve_json(curve) : curve_csv(curve));
    return 0;
  }
  Plan plan = planner.plan();
  plan.recipe.left_out = evidence.decision.left_out;
  if (!args.out.empty()) write_file(args.out, to_json(plan.recipe), existing);
  if (!args.certificate.empty()) write_file(args.certificate, certificate_json(plan), existing);
  print_out(args.common.json ? to_json(plan.recipe) : report_table(evidence.profile, plan.recipe));
  return 0;
}

}  // namespace

void add_plan(CLI::App& app, int& exit_code) {
  auto args = std::make_shared<Args>();
  auto* command = app.add_subcommand("plan", "choose the best format of every tensor within a budget");
  args->model.add_to(*command);
  args->measure.add_to(*command, false);
  args->calibration.add_to(*command);
  args->plan.add_to(*command, false);
  command
      ->add_option("--preset", args->preset,
                   "with --runtime mlx: show a published recipe, module by module, instead of planning")
      ->type_name("NAME")
      ->excludes("--size", "--bpw");
  under(*command, kWhere).add_option("-o,--out", args->out, "write the recipe here, as JSON")->type_name("FILE");
  command->add_option("--certificate", args->certificate, "write the problem and the proof of its bound here, as JSON")
      ->type_name("FILE");
  command->add_flag("--force", args->force, "replace existing files");
  under(*command, kSay)
      .add_option("--curve", args->curve, "loss against size for every budget, on stdout")
      ->check(CLI::IsMember({"csv", "json"}));
  command->add_option("--curve-points", args->curve_points, "points to solve exactly between those of the hull")
      ->check(CLI::Range(0, 1000000))
      ->capture_default_str();
  args->common.add_to(*command);
  command->footer("What the state does not know yet is measured first.\n"
                  "Examples:\n"
                  "  snug plan model-f16.gguf --imatrix imatrix.gguf --bpw 4.25 -o recipe.json\n"
                  "  snug plan model-f16.gguf --imatrix imatrix.gguf --curve csv > frontier.csv\n"
                  "  snug plan ./gemma-4-26b-a4b-it --preset ud_mxfp4 --runtime mlx");
  command->callback([args, &exit_code] {
    exit_code = guarded_job({"plan", args->model.model, args->out}, [&] { return run(*args); });
  });
}

}  // namespace snug::cli
