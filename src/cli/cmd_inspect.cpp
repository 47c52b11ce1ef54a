#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "base/json_reader.hpp"
#include "cli/common.hpp"
#include "cli/inspect.hpp"
#include "cli/text/model_lists.hpp"
#include "source/open_model.hpp"

namespace snug::cli {
namespace {

struct InspectArgs {
  CommonArgs common;
  std::string file;
  bool tensors = false, metadata = false;
};

Inspection look(const InspectArgs& args) {
  if (args.tensors) return list_tensors(open_model(args.file));
  if (args.metadata) return list_metadata(open_model(args.file));
  return inspect(args.file);
}

int run_inspect(const InspectArgs& args) {
  args.common.apply();
  const Inspection found = look(args);
  print_out(args.common.json ? json_text(found.json, 2) : found.text);
  return 0;
}

}  // namespace

void add_inspect(CLI::App& app, int& exit_code) {
  auto args = std::make_shared<InspectArgs>();
  auto* cmd = app.add_subcommand("inspect", "say what a file is: a model, an imatrix, a state or a recipe");
  cmd->add_option("FILE", args->file, "a model (a GGUF file, of a split one the first, or a folder), an imatrix, a state or a recipe.json")
      ->required();
  auto* tensors = cmd->add_flag("--tensors", args->tensors, "of a model: every tensor, its format, shape and bytes");
  cmd->add_flag("--metadata", args->metadata, "of a model: every key and its value")->excludes(tensors);
  args->common.add_to(*cmd);
  cmd->footer(
      "Examples:\n"
      "  snug inspect model.gguf\n"
      "  snug inspect ./gemma-3-4b-it --tensors\n"
      "  snug inspect imatrix.gguf --json");
  cmd->callback([args, &exit_code] { exit_code = guarded([&] { return run_inspect(*args); }); });
}

}  // namespace snug::cli
