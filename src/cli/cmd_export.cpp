#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "artifact/recipe_file.hpp"
#include "base/files/atomic_file.hpp"
#include "base/files/output_guard.hpp"
#include "base/json_reader.hpp"
#include "base/printable.hpp"
#include "cli/common.hpp"
#include "cli/options/budgets.hpp"
#include "plan/nearest_recipe.hpp"
#include "recipe/export.hpp"
#include "recipe/target.hpp"
#include "snug/error.hpp"
#include "source/open_model.hpp"

namespace snug::cli {
namespace {

struct ExportArgs {
  CommonArgs common;
  std::string recipe, target, out, runtime, model, size, bpw;
  bool force = false;
};

std::optional<Budget> budget_of(const ExportArgs& args) {
  if (args.size.empty() && args.bpw.empty()) return {};
  const auto texts = [](const std::string& text) { return text.empty() ? std::vector<std::string>{} : std::vector{text}; };
  const std::vector<NamedBudget> budgets = named_budgets(texts(args.size), texts(args.bpw));
  if (budgets.size() != 1) throw Error{"a recipe has one budget", "", "give --size or --bpw, and one value", Fault::usage};
  return budgets.front().budget;
}

/// The recipe, or its choices in the formats of --runtime.
Recipe recipe_of(const ExportArgs& args) {
  Recipe recipe = read_recipe(args.recipe, "`snug plan -o recipe.json` writes one");
  if (args.runtime.empty()) {
    if (!args.model.empty() || budget_of(args)) throw Error{"--model, --size and --bpw are for --runtime", "", "name the runtime, too", Fault::usage};
    return recipe;
  }
  if (args.model.empty())
    throw Error{"which formats fit depends on the model", "", "name it with --model", Fault::usage};
  return nearest_recipe(open_model(args.model), recipe, args.runtime, budget_of(args));
}

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
  OutputGuard guard{existing};
  if (!args.model.empty()) guard.reads(model_files(args.model)).reads({args.model});
  guard.reads({args.recipe}).writes(args.out).check();
  const Recipe recipe = recipe_of(args);
  const ExportTarget target = *export_target(args.target);
  const std::string exported = export_recipe(recipe, target);
  const std::string command = export_command(recipe, target, args.out);
  if (!args.out.empty()) write_file(args.out, exported, existing);
  if (args.common.json) {
    print_out(json_of(recipe, target, args.out));
  } else if (args.out.empty()) {
    print_out(exported);
    if (!args.common.quiet && !command.empty())
      std::fprintf(stderr, "\nThe same without a file:\n%s", terminal_text(command).c_str());
  } else if (!command.empty()) {
    print_out(command);
  }
  return 0;
}

}  // namespace

void add_export(CLI::App& app, int& exit_code) {
  auto args = std::make_shared<ExportArgs>();
  auto* cmd = app.add_subcommand("export", "hand a recipe to another converter");
  cmd->add_option("RECIPE", args->recipe, "recipe.json, written by `snug plan`, or a model that was made by one")->required();
  cmd->add_option("--to", args->target, "llama.cpp, ik_llama.cpp, json or csv")
      ->required()
      ->check(CLI::IsMember(export_names()));
  cmd->add_option("-o,--output", args->out, "file to write; standard output without it")->type_name("FILE");
  cmd->add_option("--runtime", args->runtime,
                  "first take the nearest formats of another program: llama.cpp, ik_llama.cpp or mlx")
      ->type_name("NAME")
      ->check(CLI::IsMember(target_names()));
  cmd->add_option("--model", args->model, "the model that the recipe is for, with --runtime")->type_name("MODEL");
  cmd->add_option("--size", args->size, "largest size then (default: the recipe's budget, or its own size)")->type_name("SIZE");
  cmd->add_option("--bpw", args->bpw, "most bits per weight then")->type_name("N");
  cmd->add_flag("--force", args->force, "replace an existing file");
  args->common.add_to(*cmd);
  cmd->footer(
      "Examples:\n"
      "  snug export recipe.json --to llama.cpp -o types.txt\n"
      "  snug export recipe.json --to csv\n"
      "  snug export recipe.json --runtime mlx --model ./SmolLM2-135M --to json -o mlx.json\n"
      "  snug quantize ./SmolLM2-135M --recipe mlx.json -o smollm2-mlx");
  cmd->callback([args, &exit_code] { exit_code = guarded([&] { return run_export(*args); }); });
}

}  // namespace snug::cli
