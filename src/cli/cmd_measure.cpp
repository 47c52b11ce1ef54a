#include <nlohmann/json.hpp>

#include "base/str.hpp"
#include "base/units.hpp"
#include "cli/commands.hpp"
#include "cli/common.hpp"
#include "cli/options.hpp"
#include "cli/probe_options.hpp"
#include "fit/profile_store.hpp"
#include "recipe/profile.hpp"
#include "snug/error.hpp"

namespace snug::cli {
namespace {

struct Args {
  CommonArgs common;
  ModelArgs model;
  MeasureArgs measure;
  ProbeArgs probe;
  std::string profile;
};

nlohmann::ordered_json to_json(const MeasureReport& report, const std::filesystem::path& state) {
  nlohmann::ordered_json formats = nlohmann::ordered_json::object();
  for (const auto& [name, nanoseconds] : report.format_nanoseconds) formats[name] = static_cast<double>(nanoseconds) * 1e-9;
  return {{"state", state.string()},           {"measured", report.measured},
          {"reused", report.reused},           {"rows", report.rows},
          {"weights_encoded", report.weights_encoded}, {"seconds", report.seconds},
          {"encoder_seconds", formats}};
}

std::string to_text(const MeasureReport& report, const std::filesystem::path& state) {
  std::string text = str("measured ", show_count(report.measured), " losses, ", show_count(report.reused),
                         " were known; ", show_count(report.rows), " rows, ", show_count(report.weights_encoded),
                         " weights encoded in ", show_duration(report.seconds), "\n");
  for (const auto& [name, nanoseconds] : report.format_nanoseconds)
    text += str("  ", name, std::string(name.size() < 8 ? 8 - name.size() : 1, ' '), nanoseconds / 1'000'000, " ms\n");
  return text + str("kept in ", state.string(), "\n");
}

int run(const Args& args) {
  args.common.apply();
  const gguf::Reader model{args.model.model};
  const MeasureOptions options = args.measure.options();
  const std::optional<Importance> importance = args.model.load_importance(model);
  const std::filesystem::path path = args.measure.state_path(args.model.model, ".");
  Store state = Store::open(path, Access::write);
  MeasureReport report;
  const Importance* columns = importance ? &*importance : nullptr;
  Profile profile = measure(model, columns, state, options, &report);
  args.probe.apply(profile, args.model.model, columns, state);
  if (options.shards == 1) save_profile(state, profile, model, columns);
  if (!args.profile.empty()) write_file(args.profile, to_json(profile), Existing::replace);
  print_out(args.common.json ? to_json(report, path).dump(2) : to_text(report, path));
  return 0;
}

}  // namespace

void add_measure(CLI::App& app, int& exit_code) {
  auto args = std::make_shared<Args>();
  auto* command = app.add_subcommand("measure", "measure the error of every tensor in every format");
  args->model.add_to(*command);
  args->measure.add_to(*command, true);
  args->probe.add_to(*command);
  command->add_option("--profile", args->profile, "write losses and bytes of every tensor and format here, as JSON");
  args->common.add_to(*command);
  command->footer("Examples:\n"
                  "  snug measure model-f16.gguf --imatrix imatrix.gguf\n"
                  "  snug measure model-f16.gguf --imatrix imatrix.gguf --shard 0/4 --state part0.snug-state");
  command->callback([args, &exit_code] { exit_code = guarded([&] { return run(*args); }); });
}

}  // namespace snug::cli
