#include <algorithm>
#include <iterator>

#include "artifact/recipe_file.hpp"
#include "base/files/atomic_file.hpp"
#include "base/files/file_kind.hpp"
#include "cli/sha256_of.hpp"
#include "base/progress.hpp"
#include "base/str.hpp"
#include "base/time_of_day.hpp"
#include "base/units.hpp"
#include "cli/commands.hpp"
#include "cli/common.hpp"
#include "cli/options/options.hpp"
#include "fit/evidence.hpp"
#include "fit/measured_recipe_store.hpp"
#include "fit/measurements.hpp"
#include "fit/profile_store.hpp"
#include "recipe/format_names.hpp"
#include "report/card.hpp"
#include "report/page.hpp"
#include "report/png_file.hpp"
#include "report/report.hpp"
#include "report/svg_file.hpp"
#include "report/tables.hpp"
#include "snug/error.hpp"
#include "source/open_model.hpp"

namespace snug::cli {
namespace {

struct Args {
  CommonArgs common;
  ModelArgs model;  // with --model, not a positional
  MeasureArgs measure;
  CalibrationArgs calibration;
  std::string source, out;
  std::vector<std::string> more;  // recipes or models that a card lists besides
  std::vector<std::string> measured;
  std::optional<double> bpw;
  bool csv = false, force = false;
};

struct Known {
  SavedProfile profile;
  std::vector<MeasuredRecipe> judged;  // recipes of the same model that were run
};

Known known_of(SavedProfile profile, const Store& state, const std::string& where) {
  std::vector<MeasuredRecipe> judged = judged_recipes(state, profile.profile.model_digest, where);
  return {std::move(profile), std::move(judged)};
}

/// What --model, --imatrix and --calib say, as `plan` would work it out: what the state lacks is measured.
Known profile_of_model(const Args& args, const ModelSource& model, const std::string& state_path) {
  const Evidence evidence = gather(model, {.state = state_path,
                                           .options = {.inputs = args.model.files(),
                                                       .measuring = args.measure.options(),
                                                       .calibration = args.calibration.request(),
                                                       .feedback = Feedback::off}});
  return known_of(snapshot_of(evidence.profile, evidence.model, evidence.columns()), evidence.state, state_path);
}

std::optional<SavedProfile> belonging_to(const Recipe& recipe, std::vector<SavedProfile> saved) {
  const auto same = [&](const SavedProfile& s) {
    return s.profile.model_digest == recipe.model_digest && s.profile.state_digest == recipe.state_digest;
  };
  const auto found = std::ranges::find_if(saved, same);
  if (found == saved.end()) return std::nullopt;
  return std::move(*found);
}

std::vector<std::filesystem::path> states_in(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> states;
  std::error_code unreadable;
  for (const auto& entry : std::filesystem::directory_iterator{folder, unreadable})
    if (entry.path().extension() == ".snug-state") states.push_back(entry.path());
  std::ranges::sort(states);
  return states;
}

/// States in the folder of a recipe, then those in the one place for all models.
std::vector<std::filesystem::path> states_beside(const std::filesystem::path& recipe) {
  std::vector<std::filesystem::path> states = states_in(folder_of(recipe));
  if (const auto folder = measurement_folder()) std::ranges::move(states_in(*folder), std::back_inserter(states));
  return states;
}

/// The profile the recipe was planned with, out of a state that lies beside it.
std::optional<Known> profile_beside(const Recipe& recipe, const std::filesystem::path& recipe_path) {
  for (const std::filesystem::path& path : states_beside(recipe_path)) {
    try {
      const Store state = Store::open(path, Access::read);
      if (auto found = belonging_to(recipe, saved_profiles(state, path.string()))) {
        log_line(str("measurements from ", path.string()));
        return known_of(std::move(*found), state, path.string());
      }
    } catch (const Error& error) {
      if (error.fault() == Fault::interrupted) throw;  // else: nobody asked for this one
    }
  }
  return std::nullopt;
}

std::optional<Known> profile_for(const Recipe& recipe, const Args& args) {
  if (!args.model.model.empty()) {
    const ModelSource model = open_model(args.model.model);
    return profile_of_model(args, model, args.measure.state_path(model).string());
  }
  if (args.measure.state.empty()) {
    auto beside = profile_beside(recipe, args.source);
    if (!beside)
      log_line(
          "no state beside the recipe or in the place for all models holds its measurements: no curve and no "
          "presets; --state or --model gives them");
    return beside;
  }
  const Store state = Store::open(args.measure.state, Access::read);
  std::vector<SavedProfile> saved = saved_profiles(state, args.measure.state);
  const size_t count = saved.size();
  if (auto found = belonging_to(recipe, std::move(saved)))
    return known_of(std::move(*found), state, args.measure.state);
  throw Error{
      str("the state holds ", count, " profiles, none of them the recipe's"),
      str(args.measure.state, ": the recipe was planned with measurements ", recipe.state_digest),
      "name the state it was planned with, or add --model (and --imatrix, --calib) as they were then"};
}

Known profile_of_state(const Args& args) {
  if (!args.model.model.empty()) return profile_of_model(args, open_model(args.model.model), args.source);
  const Store state = Store::open(args.source, Access::read);
  std::vector<SavedProfile> saved = saved_profiles(state, args.source);
  if (saved.empty())
    throw Error{"the state does not say how large the tensors are", args.source,
                "add --model MODEL (and --imatrix and --calib as they were), or run `snug plan` on it once",
                Fault::usage};
  if (saved.size() > 1)
    log_line(str("the state holds ", saved.size(), " profiles; this is the one with most measured, ",
                 saved.front().profile.state_digest));
  return known_of(std::move(saved.front()), state, args.source);
}

bool holds_weights(const std::filesystem::path& file) {
  return file.extension() == ".gguf" || file.extension() == ".safetensors";
}

bool is_named(const std::string& out, std::string_view extension) {
  return same_letters(std::filesystem::path{out}.extension().string(), extension);
}

/// The card and the numbers have the digests, for which all of a model is read.
bool shows_digests(const Args& args) {
  return args.common.json || is_named(args.out, ".md") || is_named(args.out, ".json");
}

/// Of a model that was made, with its files; of a recipe alone, without.
report::ListedModel listed_model(const std::string& source, const Recipe& recipe, bool with_digests) {
  std::vector<report::ListedModel::File> files;
  int64_t bytes = 0;
  std::error_code unknown;
  const bool is_folder = std::filesystem::is_directory(source, unknown);
  if (is_folder || file_kind(source) == FileKind::gguf)
    for (const auto& file : model_files(source))
      if (holds_weights(file)) {
        files.push_back({file.filename().string(), with_digests ? sha256_of(file) : ""});
        bytes += static_cast<int64_t>(std::filesystem::file_size(file));
      }
  const std::filesystem::path path{files.empty() || is_folder ? source : files.front().name};
  report::ListedModel model = report::listed(recipe, report::name_of(path), std::move(files));
  if (bytes > 0) model.bytes = bytes;
  return model;
}

report::Inputs inputs_of(const Args& args) {
  report::Inputs inputs;
  std::optional<Known> known;
  std::error_code unknown;
  const bool has_recipe = std::filesystem::exists(std::filesystem::path{args.source} / kRecipeInFolder, unknown);
  switch (has_recipe ? FileKind::recipe : file_kind(args.source)) {
    case FileKind::recipe:
    case FileKind::gguf:
      inputs.recipe = read_recipe(args.source);
      known = profile_for(*inputs.recipe, args);
      inputs.models.push_back(listed_model(args.source, *inputs.recipe, shows_digests(args)));
      for (const std::string& other : args.more)
        inputs.models.push_back(listed_model(other, read_recipe(other), shows_digests(args)));
      break;
    case FileKind::state:
      if (!args.more.empty())
        throw Error{"further models are listed beside a recipe or a model", args.more.front(), "name a recipe first", Fault::usage};
      if (!args.measure.state.empty())
        throw Error{"two states are named", args.measure.state, "leave --state out", Fault::usage};
      known = profile_of_state(args);
      break;
    default:
      throw Error{"a report is made of a recipe or a state", args.source,
                  "`snug plan MODEL --bpw 4.25 -o recipe.json` writes a recipe", Fault::usage};
  }
  if (known) {
    inputs.profile = std::move(known->profile);
    inputs.measured = std::move(known->judged);
  }
  if (args.bpw) inputs.bits_per_weight = *args.bpw;
  for (const std::string& file : args.measured)
    std::ranges::move(report::read_measured(file), std::back_inserter(inputs.measured));
  inputs.date = local_time(now_in_seconds(), "%Y-%m-%d");
  inputs.command = str("snug report ", std::filesystem::path{args.source}.filename().string());  // pages are passed on
  return inputs;
}

using Writer = std::string (*)(const report::Report&);

constexpr std::pair<std::string_view, Writer> kWriters[] = {
    {".html", report::to_html}, {".htm", report::to_html}, {".json", report::to_json},
    {".csv", report::to_csv},   {".md", report::to_card},  {".svg", report::to_svg}, {".png", report::to_png}};

/// What a file of that name is.
Writer written_as(const std::string& out) {
  for (const auto& [known, writer] : kWriters)
    if (is_named(out, known)) return writer;
  throw Error{str("a report is no '", std::filesystem::path{out}.extension().string(), "' file"), out,
              "name it .html (a page), .md (a model card), .svg or .png (the curve), .csv or .json", Fault::usage};
}

int run(const Args& args) {
  args.common.apply();
  if (args.out.empty() && !args.csv && !args.common.json)
    throw Error{"no output named", "", "add -o report.html, or --csv or --json for numbers on stdout",
                Fault::usage};
  const Existing existing = args.force ? Existing::replace : Existing::refuse;
  const std::vector<std::filesystem::path> measured{args.measured.begin(), args.measured.end()};
  const std::vector<std::filesystem::path> more{args.more.begin(), args.more.end()};
  guard_for(existing, args.model, args.calibration.calib)
      .reads({args.source, args.measure.state})
      .reads(measured)
      .reads(more)
      .reads(states_beside(args.source))
      .writes(args.out)
      .check();
  if (!args.out.empty()) written_as(args.out);  // a wrong name is told before the work
  const report::Report report = report::make_report(inputs_of(args));
  if (!args.out.empty()) {
    const std::string text = written_as(args.out)(report);
    write_file(args.out, text, existing);
    if (!args.csv && !args.common.json)
      print_out(str("wrote ", args.out, ", ", show_count(static_cast<int64_t>(text.size())), " bytes"));
  }
  if (args.csv) print_out(report::to_csv(report));
  if (args.common.json) print_out(report::to_json(report));
  return 0;
}

}  // namespace

void add_report(CLI::App& app, int& exit_code) {
  auto args = std::make_shared<Args>();
  auto* command = app.add_subcommand("report", "write an HTML report on a recipe: size, loss, confidence");
  command->add_option("source", args->source, "a recipe, a model made by one, or the state of a model that was measured")
      ->required();
  command->add_option("more", args->more, "further recipes or models of the same original, for a card to list");
  command
      ->add_option("-o,--out", args->out,
                   "the file to write: a page (.html), a model card (.md), the curve (.svg or .png), .csv or .json")
      ->type_name("FILE");
  auto* csv = command->add_flag("--csv", args->csv, "the numbers as one table on stdout");
  command
      ->add_option("--measured", args->measured,
                   "further divergences of whole recipes, measured: what `snug eval --json` printed, or JSON or CSV of "
                   "label, bytes, predicted, measured, se")
      ->type_name("FILE")
      ->check(CLI::ExistingFile);
  command->add_option("--bpw", args->bpw, "with a state: plan at this many bits per weight (default: 4.25)")
      ->check(CLI::Range(0.1, 64.0));
  command->add_option("--model", args->model.model, "the model, where state or recipe are not enough")
      ->type_name("MODEL")
      ->check(CLI::ExistingFile);
  args->model.add_imatrix_to(*command);
  args->measure.add_to(*command, false);
  args->calibration.add_to(*command);
  command->add_flag("--force", args->force, "replace an existing file");
  args->common.add_to(*command);
  csv->excludes("--json");
  command->footer(
      "A recipe finds its measurements where `snug fit` keeps them, in a *.snug-state beside it, or in --state.\n"
      "Examples:\n"
      "  snug report recipe.json -o report.html\n"
      "  snug report model-4.25bpw.gguf model-3bpw.gguf --measured eval.json -o README.md\n"
      "  snug report recipe.json -o curve.svg\n"
      "  snug report model.snug-state --bpw 4 -o report.html\n"
      "  snug report recipe.json --measured kl.csv --json");
  command->callback([args, &exit_code] {
    exit_code = guarded_job({"report", args->source, args->out}, [&] { return run(*args); });
  });
}

}  // namespace snug::cli
