#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/closest.hpp"
#include "base/json_reader.hpp"
#include "base/printable.hpp"
#include "base/str.hpp"
#include "base/time_of_day.hpp"
#include "base/units.hpp"
#include "cli/commands.hpp"
#include "cli/common.hpp"
#include "cli/options/whole_number.hpp"
#include "cli/text/text_table.hpp"
#include "fit/measurement_files.hpp"
#include "fit/measurements.hpp"
#include "snug/error.hpp"

namespace snug::cli {
namespace {

using Json = nlohmann::ordered_json;

struct Args {
  CommonArgs common;
  std::vector<std::string> models;
  std::optional<int64_t> unused_days;
  bool all = false, collected = false, dry_run = false;
};

constexpr int64_t kDay = 86400;

int64_t days_since(int64_t time) {
  return (now_in_seconds() - time) / kDay;
}

std::filesystem::path folder() {
  if (const auto found = measurement_folder()) return *found;
  throw Error{"there is no one place for measurements", "none of $SNUG_HOME, $XDG_STATE_HOME and $HOME is set", "",
              Fault::usage};
}

std::string days(int64_t count) {
  return count == 0 ? "today" : count == 1 ? "1 day ago" : str(count, " days ago");
}

std::string row(const std::string& name, const std::string& states, const std::string& collected,
                const std::string& others, const std::string& used) {
  return str(left(name, 30), right(states, 12), right(collected, 12), right(others, 12), "  ", used, "\n");
}

std::string megabytes(int64_t bytes) { return str(fixed(static_cast<double>(bytes) / 1e6, 1), " MB"); }

Json json_of(const KeptModel& model) {
  const auto names = [](const std::vector<std::filesystem::path>& files) {
    Json list = Json::array();
    for (const auto& file : files) list.push_back(file.string());
    return list;
  };
  return {{"model", printable(model.name)},       {"state_bytes", model.state_bytes},
          {"collected_bytes", model.collected_bytes}, {"other_bytes", model.other_bytes},
          {"last_used", model.last_used},             {"states", names(model.states)},
          {"collected", names(model.collected)},      {"others", names(model.others)}};
}

int list(const Args& args) {
  const std::vector<KeptModel> models = kept_models(folder());
  if (args.common.json) {
    Json document{{"folder", folder().string()}, {"models", Json::array()}};
    for (const KeptModel& model : models) document["models"].push_back(json_of(model));
    print_out(json_text(document, 2));
    return 0;
  }
  std::string text = str(folder().string(), models.empty() ? ": nothing yet\n" : "\n");
  if (!models.empty()) text += row("model", "measured", "collected", "unfinished", "last used");
  int64_t bytes = 0;
  for (const KeptModel& model : models) {
    bytes += model.bytes();
    text += row(printable(model.name), megabytes(model.state_bytes), megabytes(model.collected_bytes),
                megabytes(model.other_bytes), days(days_since(model.last_used)));
  }
  print_out(models.empty() ? text : str(text, show_size(bytes), " together\n"));
  return 0;
}

/// Those asked for. Throws Error of Fault::usage on a name that is none's.
std::vector<KeptModel> chosen(const Args& args) {
  std::vector<KeptModel> models = kept_models(folder());
  std::vector<std::string_view> known;
  for (const KeptModel& model : models) known.push_back(model.name);
  for (const std::string& name : args.models)
    if (std::ranges::find(known, name) == known.end())
      throw Error{str("nothing is kept of a model '", printable(name), "'"), folder().string(),
                  did_you_mean(name, known, "`snug measurements list` shows what is"), Fault::usage};
  std::erase_if(models, [&](const KeptModel& model) {
    const bool named = args.all || std::ranges::count(args.models, model.name) > 0;
    const bool unused = args.unused_days && days_since(model.last_used) >= *args.unused_days;
    return args.models.empty() && !args.all ? !unused : !named || (args.unused_days && !unused);
  });
  return models;
}

int clean(const Args& args) {
  if (args.models.empty() && !args.all && !args.unused_days)
    throw Error{"name what to remove", "", "one or more models of `snug measurements list`, --unused DAYS, or --all",
                Fault::usage};
  int64_t bytes = 0;
  std::string text;
  for (const KeptModel& model : chosen(args)) {
    const int64_t all = args.collected ? model.collected_bytes : model.bytes();
    const int64_t removed =
        args.dry_run ? all : remove_kept(model, args.collected ? Remove::collected : Remove::all);
    text += str(args.dry_run ? "would remove " : "removed ", printable(model.name), ", ", show_size(removed), "\n");
    bytes += removed;
  }
  if (args.common.json)
    print_out(json_text(Json{{"removed_bytes", bytes}, {"dry_run", args.dry_run}}, 2));
  else
    print_out(str(text, text.empty() ? "nothing to remove\n" : ""));
  return 0;
}

template <class Work>
CLI::App* add_work(CLI::App& parent, int& exit_code, const std::shared_ptr<Args>& args, const char* name, const char* help,
                   Work work) {
  auto* command = parent.add_subcommand(name, help);
  run_guarded(*command, args, work, exit_code);
  return command;
}

}  // namespace

void add_measurements(CLI::App& app, int& exit_code) {
  auto* command = app.add_subcommand("measurements", "show or remove what is kept of models that were measured");
  command->require_subcommand(1);
  command->footer("Examples:\n  snug measurements list\n  snug measurements clean gemma-3-4b-it");
  add_work(*command, exit_code, std::make_shared<Args>(), "list", "models, sizes, and when they were last used", list)
      ->footer("Example:\n  snug measurements list --json");
  auto args = std::make_shared<Args>();
  auto* cleaning = add_work(*command, exit_code, args, "clean", "remove measurements; a fit makes them anew", clean);
  cleaning->add_option("MODEL", args->models, "as `snug measurements list` calls them");
  cleaning->add_option("--unused", args->unused_days, "those not used for so many days")
      ->type_name("DAYS")
      ->check(at_least(0));
  cleaning->add_flag("--all", args->all, "of all models");
  cleaning->add_flag("--collected", args->collected,
                     "only what was collected of columns, which is large: measurements stay");
  cleaning->add_flag("--dry-run", args->dry_run, "say what would go, and keep it");
  cleaning->footer(
      "Examples:\n"
      "  snug measurements clean gemma-3-4b-it\n"
      "  snug measurements clean --unused 30 --dry-run\n"
      "  snug measurements clean --all --collected");
}

}  // namespace snug::cli
