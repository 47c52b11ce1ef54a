#include "fit/inputs.hpp"

#include <algorithm>

#include "artifact/artifact.hpp"
#include "base/digest.hpp"
#include "base/events.hpp"
#include "base/memory.hpp"
#include "base/str.hpp"
#include "base/units.hpp"
#include "calibrate/collect.hpp"
#include "calibrate/hessian_budget.hpp"
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
std::filesystem::path own_imatrix(const std::filesystem::path& folder, const CalibrationRun& run, int64_t full_width) {
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
  const auto path = folder / name;
  if (!std::filesystem::exists(path)) {
    collect_imatrix(*run.model, run.text, options, path, Existing::refuse);
    log_line(str("collected ", path.string(), full_width > 0 ? " (for error feedback)" : ""));
  }
  return path;
}

/// Inputs up to which width are to have second moments; 0 for none. Logs where some are left out unasked.
int64_t feedback_width(Feedback feedback, const std::filesystem::path& folder, const ModelSource& model) {
  // Of one core, however many there are: the same model gets the same recipe on every machine that has room.
  constexpr double kPatience = 16 * 3600;  // seconds that error feedback may take unasked
  constexpr double kEncodings = 4;         // of the whole model, to judge and to write
  if (feedback == Feedback::off) return 0;
  const auto disk = std::filesystem::space(folder).available / 4;
  HessianBudget budget{.bytes = static_cast<int64_t>(std::min<uintmax_t>(disk, INT64_MAX)),
                       .matrix_bytes = memory_for(MemoryUse::hessians)};
  const int64_t most = max_hessian_width(model, budget);
  if (most == 0)
    log_line(str("the second moments of the narrowest inputs take more than ", show_size(budget.bytes),
                 " of disk or ", show_size(budget.matrix_bytes), " of memory: no error feedback"));
  if (feedback == Feedback::on) return most;
  budget.seconds = kPatience / kEncodings;
  const int64_t width = max_hessian_width(model, budget);
  if (width < most)
    log_line(str("error feedback", width > 0 ? str(" for inputs wider than ", width) : "",
                 " would bring it to more than ", show_duration(kPatience),
                 " of one core: left out unless it is asked for"));
  return width;
}

}  // namespace

OutputGuard guard_for(Existing existing, const std::filesystem::path& model, const InputFiles& inputs,
                      const std::filesystem::path& text, const std::filesystem::path& out, int64_t split_bytes) {
  OutputGuard guard{existing};
  guard.reads(model_files(model)).reads({inputs.imatrix, inputs.moments, text});
  return guard.writes(possible_outputs(out, split_bytes));
}

std::optional<Importance> load_importance(const InputFiles& files, const ModelSource& model) {
  if (files.imatrix.empty()) {
    log_line("no imatrix: every input column weighs the same; the result is worse than it could be");
    return std::nullopt;
  }
  Importance importance = Importance::load(files.imatrix);
  const Importance::Match match = importance.check_against(model);
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
    throw Error{"the file has no second moments", files.moments.string(), "`snug imatrix --full` makes one that has"};
  return std::nullopt;
}

InputFiles collect_missing_inputs(const InputFiles& given, const std::filesystem::path& folder, Feedback feedback,
                                  const CalibrationRun& run) {
  InputFiles files = given;
  const bool wanted = run.holdout_chunks > 0 && !load_moments(files);
  const int64_t width = wanted ? feedback_width(feedback, folder, run.model->source()) : 0;
  if (files.imatrix.empty())
    files.imatrix = own_imatrix(folder, run, width);
  else if (width > 0)
    files.moments = own_imatrix(folder, run, width);
  return files;
}

}  // namespace snug
