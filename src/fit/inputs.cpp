#include "fit/inputs.hpp"

#include <algorithm>

#include "artifact/artifact.hpp"
#include "base/digest.hpp"
#include "base/events.hpp"
#include "base/str.hpp"
#include "calibrate/collect.hpp"
#include "snug/error.hpp"
#include "source/open_model.hpp"

namespace snug {
namespace {

void log_names(const std::vector<std::string>& names, const std::string& what) {
  if (names.empty()) return;
  constexpr size_t kShown = 3;
  std::string list;
  for (size_t i = 0; i < std::min(names.size(), kShown); ++i) list += str(i ? ", " : "", names[i]);
  if (names.size() > kShown) list += str(" and ", names.size() - kShown, " more");
  log_line(str("imatrix: ", what, ": ", list));
}

/// What the model's own run over the calibration text says of its inputs, with second moments of those up to
/// `full_width` wide.
std::filesystem::path own_imatrix(const CollectionFolders& folders, const CalibrationRun& run, int64_t full_width) {
  CollectOptions options;
  options.chunk_tokens = run.probing.context;
  options.output = true;
  options.full = full_width > 0;
  options.full_width = full_width;
  const ModelSource& model = run.model->source();
  Hasher hasher;
  hasher.add_array<uint8_t>(model.contents_digest().bytes).add_array<int32_t>(run.text.tokens);
  hasher.add(static_cast<uint64_t>(full_width));
  const std::string name = str(model.path().stem().string(), ".", hasher.finish().hex().substr(0, 12), ".imatrix.gguf");
  for (const auto& folder : {folders.keep, folders.also})
    if (!folder.empty() && std::filesystem::exists(folder / name)) {
      log_line(str("imatrix: ", (folder / name).string(), ", collected before"));
      return folder / name;
    }
  const auto path = folders.keep / name;
  collect_imatrix(*run.model, run.text, options, path, Existing::refuse);
  log_line(str("collected ", path.string(), full_width > 0 ? " (for error feedback)" : ""));
  return path;
}

void refuse_other_model(const Importance& importance, const Importance::Match& match, const ModelSource& model) {
  if (importance.tensors().empty() || match.unknown.size() < importance.tensors().size()) return;
  throw Error{str("the imatrix is of another model: none of its ", match.unknown.size(), " tensors is in this one"),
              str(importance.path().string(), " and ", model.path().string()),
              "use the imatrix made with this very model, or none: `snug fit` makes one of its own"};
}

}  // namespace

OutputGuard guard_for(Existing existing, const std::filesystem::path& model, const InputFiles& inputs,
                      const std::filesystem::path& text, const std::filesystem::path& out, int64_t split_bytes,
                      std::string_view runtime) {
  OutputGuard guard{existing};
  guard.reads(model_files(model)).reads({model, inputs.imatrix, inputs.moments, text});
  guard_output(guard, out, split_bytes, runtime);
  return guard;
}

std::optional<Importance> load_importance(const InputFiles& files, const ModelSource& model) {
  if (files.imatrix.empty()) {
    log_line("no imatrix: every input column weighs the same; the result is worse than it could be");
    return std::nullopt;
  }
  Importance importance = Importance::load(files.imatrix);
  const Importance::Match match = importance.check_against(model);
  refuse_other_model(importance, match, model);
  log_names(match.unknown, "names no tensor of the model");
  log_names(match.without, "no data, weighed uniformly");
  log_names(match.shrunk, "experts that were never hit have the mean of the others");
  return importance;
}

std::optional<Hessians> load_moments(const InputFiles& files) {
  const std::filesystem::path& path = files.moments.empty() ? files.imatrix : files.moments;
  if (path.empty()) return std::nullopt;
  Hessians loaded{path};
  if (!loaded.empty()) return loaded;
  if (!files.moments.empty())
    throw Error{"the file has no second moments", files.moments.string(), "make the imatrix with second moments"};
  return std::nullopt;
}

void load_inputs(const InputFiles& files, Feedback feedback, const ModelSource& model, LoadedInputs& loaded) {
  // That there is no imatrix is among what is left out.
  if (!loaded.importance && !files.imatrix.empty()) loaded.importance = load_importance(files, model);
  if (!loaded.moments && feedback != Feedback::off) loaded.moments = load_moments(files);
}

InputFiles collect_missing_inputs(const InputFiles& given, const CollectionFolders& folders, int64_t hessian_width,
                                  const CalibrationRun& run) {
  InputFiles files = given;
  if (files.imatrix.empty())
    files.imatrix = own_imatrix(folders, run, hessian_width);
  else if (hessian_width > 0)
    files.moments = own_imatrix(folders, run, hessian_width);
  return files;
}

}  // namespace snug
