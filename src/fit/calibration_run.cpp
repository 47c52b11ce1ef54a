#include "fit/calibration_run.hpp"

#include <algorithm>
#include <set>
#include <string_view>

#include "base/events.hpp"
#include "base/memory.hpp"
#include "base/printable.hpp"
#include "base/str.hpp"
#include "base/units.hpp"
#include "fit/run_time.hpp"
#include "infer/tokenizer/tokenizer.hpp"
#include "measure/sensitivity/sensitivity.hpp"
#include "recipe/target.hpp"

namespace snug {
namespace {

CalibrationText text_of(const CalibrationRequest& request, const ModelSource& model) {
  const bool is_read = names_a_text(request) && infer::tokenizer_if_usable(model);
  CalibrationText source;
  source.text = is_read ? request.text : kSelfText;
  source.self.tokens = 2 * request.chunks * request.context;
  source.self.document_tokens = request.context;
  return source;
}

std::string name_of(const CalibrationText& text) {
  return text.text == kSelfText ? "text the model wrote" : printable(std::filesystem::path{text.text}.filename().string());
}

}  // namespace

bool is_runnable(const ModelSource& source) {
  const std::string_view architecture = source.metadata().text("general.architecture").value_or("");
  return std::ranges::count(infer::known_architectures(), architecture) > 0;
}

bool names_a_text(const CalibrationRequest& request) {
  return !request.text.empty() && request.text != kSelfText;
}

ProbeOptions CalibrationRun::judging() const {
  ProbeOptions options = probing;
  options.chunks += holdout_chunks;
  return options;
}

CalibrationRun open_calibration(const ModelSource& source, const CalibrationRequest& request, Store& state) {
  CalibrationRun run;
  run.model = std::make_unique<infer::Model>(source);
  const CalibrationText text = text_of(request, source);
  run.text = calibration_tokens(text, *run.model, &state);
  run.text_name = name_of(text);
  run.probing.context = request.context;
  run.probing.bos = run.text.bos;
  run.probing.memory_bytes = std::min(run.probing.memory_bytes, memory_for(MemoryUse::hidden_states));
  run.how = probing_of(source, request);
  const int64_t have = static_cast<int64_t>(run.text.tokens.size()) / request.context;
  // A short text is cut in two, so that some of it is left to judge by.
  run.probing.chunks = std::min(request.chunks, std::max<int64_t>(2, have * 2 / 3));
  run.holdout_chunks = std::clamp<int64_t>(have - run.probing.chunks, 0, request.chunks);
  return run;
}

namespace {

constexpr size_t kChecks = 6;  // tensors that are probed besides

/// A runtime that loads the formats of a profile.
const Target& target_of(const Profile& profile) {
  const auto is_mlx = [](const Candidate& candidate) {
    const Format* format = find_format(candidate.format);
    return format && format->family == Family::mlx;
  };
  for (const ProfiledTensor& tensor : profile.tensors)
    if (std::ranges::any_of(tensor.candidates, is_mlx)) return find_target("mlx");
  return find_target("llama.cpp");
}

/// Those of its candidates that the target encodes: the others are sources kept as they are.
std::string formats_of(const Profile& profile, const Target& target) {
  std::set<std::string_view> names;
  for (const ProfiledTensor& tensor : profile.tensors)
    for (const Candidate& candidate : tensor.candidates)
      if (target.loads(candidate.format)) names.insert(format_name(candidate.format));
  std::string list;
  for (const std::string_view name : names) list += str(list.empty() ? "" : ",", name);
  return list;
}

SensitivityOptions sensitivity_options(const ProbeOptions& probing, const Profile& profile) {
  SensitivityOptions options;
  options.chunks = std::min(options.chunks, probing.chunks);
  options.context = probing.context;
  options.bos = probing.bos;
  const Target& target = target_of(profile);
  options.runtime = target.name;
  options.formats = formats_of(profile, target);
  options.memory_bytes = probing.memory_bytes;
  options.shard = probing.shard;
  options.shards = probing.shards;
  options.saved.path = probing.resume;
  return options;
}

/// Forward probes of what the reverse pass cannot reach, and of the tensors that matter most.
ProbeResults check_by_probes(const CalibrationRun& run, const SensitivityResults& found, int64_t chunks,
                             const Importance* importance, Store& state) {
  if (!found.beyond.empty())
    log_line(str(found.beyond.size(), " tensors, ", found.beyond.front(),
                 " the first of them, are out of a reverse pass's reach: they are run one by one"));
  ProbeOptions some = run.probing;
  some.chunks = chunks;
  some.only = worth_checking(found, kChecks);
  some.only.insert(some.only.end(), found.beyond.begin(), found.beyond.end());
  return probe(*run.model, importance, state, run.text.tokens, some);
}

ProbeResults apply_reverse(const CalibrationRun& run, Profile& profile, const Importance* importance, Store& state) {
  const SensitivityOptions options = sensitivity_options(run.probing, profile);
  const SensitivityResults found = sensitivities(*run.model, importance, state, run.text.tokens, options);
  const ProbeResults probes = check_by_probes(run, found, options.chunks, importance, state);
  apply_sensitivities(profile, found, probes);
  log_line(str("a reverse pass over ", options.chunks, " chunks tells of ", found.tensors.size(), " tensors: ",
               found.measured, " figures measured, ", found.reused, " known, in ", show_duration(found.seconds), "; ",
               probes.tensors.size(), " tensors probed besides"));
  return probes;
}

}  // namespace

ProbeResults apply_calibration(const CalibrationRun& run, Profile& profile, const Importance* importance,
                               Store& state) {
  if (run.how == Probing::reverse) return apply_reverse(run, profile, importance, state);
  const ProbeResults results = probe(*run.model, importance, state, run.text.tokens, run.probing);
  apply_probes(profile, results);
  std::string line = str("probed ", results.tensors.size(), " tensors: ", results.measured, " runs, ",
                         results.reused, " known");
  if (results.forward_passes > 0)
    line += str(", in ", show_duration(results.seconds), ", the time of ",
                static_cast<int64_t>(results.forward_passes + 0.5), " passes over the text");
  log_line(line);
  return results;
}

}  // namespace snug
