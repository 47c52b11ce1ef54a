#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdlib>
#include <map>

#include "artifact/output_journal.hpp"
#include "artifact/quantize_model.hpp"
#include "artifact/recipe_file.hpp"
#include "base/digest.hpp"
#include "base/files/atomic_file.hpp"
#include "base/progress.hpp"
#include "base/str.hpp"
#include "cli/commands.hpp"
#include "cli/common.hpp"
#include "cli/options/budgets.hpp"
#include "cli/options/groups.hpp"
#include "cli/options/options.hpp"
#include "cli/text/report_table.hpp"
#include "cli/text/written_text.hpp"
#include "fit/folding.hpp"
#include "measure/measure.hpp"
#include "model/finite_weights.hpp"
#include "plan/baseline_recipes.hpp"
#include "plan/mlx_recipe.hpp"
#include "recipe/presets.hpp"
#include "recipe/target.hpp"
#include "snug/error.hpp"
#include "source/open_model.hpp"

namespace snug::cli {
namespace {

struct Args {
  CommonArgs common;
  ModelArgs model;
  std::string recipe, preset, format, out, runtime = "llama.cpp", effort = "normal";
  std::vector<std::string> as_llama;  // [OUT] TYPE [THREADS], as llama-quantize is called
  bool force = false, dry_run = false, allow_requantize = false, fold = false;
};

Recipe choose(const Args& args, const ModelSource& model, const Importance* importance) {
  if (!args.recipe.empty()) {
    Recipe recipe = read_recipe(args.recipe);
    const std::string digest = model.shape_digest().hex();
    if (recipe.model_digest != digest)
      throw Error{"the recipe was made for another model", str(args.recipe, " and ", args.model.model),
                  "use the model it was made for, or plan again"};
    const std::string imatrix = importance ? importance_digest(*importance) : "";
    if (recipe.imatrix_digest != imatrix)
      throw Error{recipe.imatrix_digest.empty() ? "the recipe was made without an imatrix"
                                                : "the recipe was made with another imatrix",
                  args.recipe, "give the same --imatrix as then"};
    check_recipe_fits(model, recipe);
    check_within_budget(model, importance, recipe);
    return recipe;
  }
  Recipe recipe = args.preset.empty() ? uniform_recipe(model, args.format, args.runtime)
                  : args.runtime == "mlx" ? mlx_preset_recipe(model, importance, args.preset)
                                          : preset_recipe(model, importance, args.preset);
  recipe.effort = parse_effort(args.effort);
  return recipe;
}

/// The model as the recipe's folds make it or, where they are asked for, as those chosen for its formats do.
ModelSource folded(const Args& args, const ModelSource& model, std::optional<Importance>& importance,
                   std::optional<Hessians>& loaded, Recipe& recipe) {
  Hessians* moments = loaded ? &*loaded : nullptr;
  if (!recipe.folds.empty()) return fold_model(model, importance, moments, recipe.folds).model;
  if (!args.fold) return model;
  std::map<std::string_view, FormatId> formats;
  for (const RecipeTensor& tensor : recipe.tensors) formats.emplace(tensor.name, tensor.format);
  FoldedModel made = fold_model(model, importance, moments, [&](const Tensor& t) { return formats.at(t.name); });
  recipe.folds = std::move(made.folds);
  return made.model;
}

/// What a preset at Effort::max takes if it is there, and a recipe if it was made so.
std::optional<Hessians> moments_for(Recipe& recipe, const Args& args) {
  if (args.recipe.empty() ? recipe.effort != Effort::max : !recipe.error_feedback) return std::nullopt;
  std::optional<Hessians> moments = load_moments(args.model.files());
  if (!moments && recipe.error_feedback)
    throw Error{"the recipe was made with second moments, and there are none", args.recipe,
                "give the file of then with --moments, or as --imatrix"};
  if (!moments)
    log_line(
        "no second moments: errors are not fed back; `snug imatrix --collect-hessians` makes an imatrix that has them");
  recipe.error_feedback = moments.has_value();
  return moments;
}

void guard(const Args& args, Existing existing, int64_t split_bytes) {
  guard_for(existing, args.model, "", args.out, split_bytes, args.runtime).reads({args.recipe}).check();
}

/// What this call would write again.
Digest request_digest(const Args& args, const Recipe& recipe) {
  Hasher hasher;
  hasher.add("quantize").add(SNUG_VERSION).add(to_json(recipe)).add(uint64_t{args.fold});
  for (const auto& file : model_files(args.model.model)) add_file(hasher, file);
  for (const auto& file : {args.model.files().imatrix, args.model.files().moments}) add_file(hasher, file);
  return hasher.finish();
}

/// Whether a stopped call has put all of it in place already.
bool is_written(const ModelSource& model, const Importance* importance, const Recipe& recipe, const Hessians* moments,
                const KnownOutput& known) try {
  if (known.is != OutputState::begun) return false;
  verify_written(model, importance, recipe, known.written, {.moments = moments});
  return true;
} catch (const Error& error) {
  if (error.fault() == Fault::interrupted) throw;
  return false;
}

WrittenModel write(const Args& args, const ModelSource& model, const Importance* importance, const Recipe& recipe,
                   const Hessians* moments, OutputJournal& journal) {
  WrittenModel written = journal.known().written;
  if (!is_written(model, importance, recipe, moments, journal.known())) {
    check_finite(model);
    written = quantize_model(model, importance, recipe, args.out, journal.existing(),
                             {.moments = moments, .journal = &journal});
    verify_written(model, importance, recipe, written, {.moments = moments});
  }
  journal.end();
  return written;
}

/// llama-quantize's own call, IN [OUT] TYPE [THREADS], in our options.
void take_as_llama(Args& args) {
  std::vector<std::string>& words = args.as_llama;
  if (words.empty()) return;
  const auto is_number = [](const std::string& word) {
    return word.find_first_not_of("0123456789") == std::string::npos;
  };
  if (words.size() > 1 && is_number(words.back())) {
    args.common.threads = std::atoi(words.back().c_str());
    words.pop_back();
  }
  const std::string type = words.back();
  if (words.size() > 2 || !(args.recipe + args.preset + args.format).empty())
    throw Error{str("'", type, "' is one argument too many"), "`snug quantize`", "`snug quantize --help` tells more",
                Fault::usage};
  if (words.size() == 2 && args.out.empty()) args.out = words.front();
  if (find_preset(type))
    args.preset = type;
  else
    args.format = type;
  if (args.out.empty()) args.out = default_output(args.model.model, {Budget{}, type}, args.runtime);
  log_line(str("as `snug quantize ", args.model.model, find_preset(type) ? " --preset " : " --format ", type, " -o ",
               args.out, "`"));
}

int run(Args args) {
  if (!args.recipe.empty() + !args.preset.empty() + !args.format.empty() != 1)
    throw Error{"name what to quantize to", "", "one of --recipe F, --preset q4_k_m, --format q6_K",
                Fault::usage};
  if (args.out.empty() && !args.dry_run)
    throw Error{"no output named", "", "add -o OUT.gguf, or --dry-run to see the formats alone",
                Fault::usage};
  if (args.fold && !args.recipe.empty())
    throw Error{"a recipe says itself what is folded", "--fold", "leave --fold out", Fault::usage};
  if (!args.recipe.empty()) args.runtime = read_recipe(args.recipe).runtime;
  if (args.dry_run) args.out.clear();
  const Existing asked = args.force ? Existing::replace : Existing::refuse;
  OutputJournal journal{args.out};
  guard(args, args.force ? asked : journal.existing(), 0);
  const ModelSource source = open_model(args.model.model);
  std::optional<Importance> importance = load_importance(args.model.files(), source);
  const Importance* columns = importance ? &*importance : nullptr;
  Recipe recipe = choose(args, source, columns);
  check_sources(source, recipe, args.allow_requantize);
  journal.is_for(request_digest(args, recipe), asked);
  if (journal.known().is != OutputState::begun) guard(args, journal.existing(), recipe.split_bytes);
  std::optional<Hessians> loaded = moments_for(recipe, args);
  const ModelSource model = folded(args, source, importance, loaded, recipe);
  std::optional<WrittenModel> written;
  if (!args.dry_run) {
    written = write(args, model, columns, recipe, loaded ? &*loaded : nullptr, journal);
  }
  if (args.common.json) {
    print_out(to_json(recipe));
  } else {
    print_out(report_table(recipe) + (written ? written_text(*written) : "nothing written (--dry-run)\n"));
  }
  return 0;
}

std::string known_presets() {
  std::string names;
  for (const std::string_view name : preset_names()) names += str(names.empty() ? "" : " ", name);
  return names;
}

}  // namespace

void add_quantize(CLI::App& app, int& exit_code) {
  auto args = std::make_shared<Args>();
  auto* command =
      app.add_subcommand("quantize", "write a model as a recipe, a preset or a single format says");
  args->model.add_to(*command);
  args->model.add_moments_to(*command);
  command->add_option("words", args->as_llama, "llama-quantize's own call is understood: MODEL OUT Q4_K_M")->group("");
  command->add_option("--recipe", args->recipe,
                      "recipe.json of `snug plan`, or a model made by one; gives the same bytes as `snug fit`")
      ->type_name("FILE");
  command
      ->add_option("--preset", args->preset,
                   str("llama.cpp's mix of that name: ", known_presets(), "; for mlx a published recipe, e.g. ud_mxfp4"))
      ->type_name("NAME");
  command->add_option("--format", args->format, "one format for every tensor it fits, e.g. q6_K")
      ->type_name("NAME");
  command
      ->add_option("--runtime", args->runtime,
                   "program that will load the output: llama.cpp, ik_llama.cpp or mlx (a recipe brings its own)")
      ->check(CLI::IsMember(target_names()))
      ->capture_default_str();
  under(*command, kWhere)
      .add_option("-o,--out", args->out, "the GGUF, or for mlx the folder, to write")
      ->type_name("FILE");
  command->add_flag("--force", args->force, "replace an existing output");
  under(*command, kHow)
      .add_option("--effort", args->effort, "how hard encoders search (a recipe brings its own)")
      ->check(CLI::IsMember({"normal", "max"}))
      ->capture_default_str();
  add_fold_to(*command, args->fold);
  command->add_flag("--allow-requantize", args->allow_requantize,
                    "accept a source that is quantized already");
  command->add_flag("--dry-run", args->dry_run, "show the formats, write no model");
  args->common.add_to(*command);
  command->footer(
      "Examples:\n"
      "  snug quantize model-f16.gguf --imatrix imatrix.gguf --recipe recipe.json -o out.gguf\n"
      "  snug quantize model-f16.gguf --imatrix imatrix.gguf --preset q4_k_m -o q4_k_m.gguf\n"
      "  snug quantize model-f16.gguf out.gguf Q4_K_M");
  command->callback([args, &exit_code] {
    exit_code = guarded([&] {
      args->common.apply();
      take_as_llama(*args);  // which names the output
      return guarded_job({"quantize", args->model.model, args->out}, [&] { return run(*args); });
    });
  });
}

}  // namespace snug::cli
