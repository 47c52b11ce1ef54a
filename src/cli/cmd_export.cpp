#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "artifact/recipe_file.hpp"
#include "base/files/atomic_file.hpp"
#include "base/files/output_guard.hpp"
#include "base/json_reader.hpp"
#include "cli/common.hpp"
#include "recipe/export.hpp"
#include "snug/error.hpp"

namespace snug::cli {
namespace {

struct ExportArgs {
  CommonArgs common;
  std::string recipe, target, out;
  bool force = false;
};

std::string json_of(const Recipe& recipe, const ExportTarget& target, const std::string& out) {
  auto patterns = nlohmann::ordered_json::array();
  if (target.target)
    for (const TypePattern& p : type_patterns(recipe, *target.target))
      patterns.push_back({{"pattern", p.pattern}, {"format", format_name(p.format)}});
  return json_text(nlohmann::ordered_json{{"recipe_digest", recipe_digest(recipe)},
                                          {"patterns", patterns},
                                          {"command", export_command(recipe, target, out)},
                                          {"output", out}},
                   2);
}

/// Without -o the export itself goes to stdout and the command that uses it to stderr; with -o, the command
/// to stdout.
int run_export(const ExportArgs& args) {
  args.common.apply();
  const Existing existing = args.force ? Existing::replace : Existing::refuse;
  OutputGuard{existing}.reads({args.recipe}).writes(args.out).check();
  const Recipe recipe = read_recipe(args.recipe, "`snug plan -o recipe.json` writes one");
  const ExportTarget target = *export_target(args.target);
  const std::string exported = export_recipe(recipe, target);
  const std::string command = export_command(recipe, target, args.out);
  if (!args.out.empty()) write_file(args.out, exported, existing);
  if (args.common.json) {
    print_out(json_of(recipe, target, args.out));
  } else if (args.out.empty()) {
    print_out(exported);
    if (!args.common.quiet && !command.empty())
      std::fprintf(stderr, "\nThe same without a file:\n%s", command.c_str());
  } else if (!command.empty()) {
    print_out(command);
  }
  return 0;
}

}  // namespace

void add_export(CLI::App& app, int& exit_code) {
  auto args = std::make_shared<ExportArgs>();
  auto* cmd = app.add_subcommand("export", "hand a recipe to another converter");
  cmd->add_option("RECIPE", args->recipe, "recipe.json, written by `snug plan`")->required();
  cmd->add_option("--to", args->target, "llama.cpp, ik_llama.cpp, json or csv")
      ->required()
      ->check(CLI::IsMember(export_names()));
  cmd->add_option("-o,--output", args->out, "file to write; standard output without it")->type_name("FILE");
  cmd->add_flag("--force", args->force, "replace an existing file");
  args->common.add_to(*cmd);
  cmd->footer(
      "Examples:\n"
      "  snug export recipe.json --to llama.cpp -o types.txt\n"
      "  snug export recipe.json --to csv");
  cmd->callback([args, &exit_code] { exit_code = guarded([&] { return run_export(*args); }); });
}

}  // namespace snug::cli
