#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "base/json_reader.hpp"
#include "cli/common.hpp"
#include "cli/inspect.hpp"

namespace snug::cli {
namespace {

struct InspectArgs {
  CommonArgs common;
  std::string file;
};

int run_inspect(const InspectArgs& args) {
  args.common.apply();
  const Inspection found = inspect(args.file);
  print_out(args.common.json ? json_text(found.json, 2) : found.text);
  return 0;
}

}  // namespace

void add_inspect(CLI::App& app, int& exit_code) {
  auto args = std::make_shared<InspectArgs>();
  auto* cmd = app.add_subcommand("inspect", "say what a file is: a model, an imatrix, a state or a recipe");
  cmd->add_option("FILE", args->file, "GGUF file (of a split model the first), imatrix, state or recipe.json")
      ->required();
  args->common.add_to(*cmd);
  cmd->footer(
      "Examples:\n"
      "  snug inspect model.gguf\n"
      "  snug inspect imatrix.gguf --json");
  cmd->callback([args, &exit_code] { exit_code = guarded([&] { return run_inspect(*args); }); });
}

}  // namespace snug::cli
