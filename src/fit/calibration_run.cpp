#include "fit/calibration_run.hpp"

#include <algorithm>
#include <set>
#include <string_view>

#include "base/events.hpp"
#include "base/memory.hpp"
#include "base/str.hpp"
#include "base/units.hpp"
#include "measure/sensitivity.hpp"

namespace snug {
namespace {

bool is_known(std::string_view architecture) {
  return std::ranges::count(infer::known_architectures(), architecture) > 0;
}

/// Why the model is not to be run; empty if it is. A text named by a person asks for it even where it is slow.
std::string obstacle(const ModelSource& source, bool asked) {
  const std::string_view architecture = source.metadata().text("general.architecture").value_or("?");
  if (!is_known(architecture)) return str("the forward pass of '", architecture, "' is not known");
  const int64_t memory = memory_for(MemoryUse::all);
  if (!asked && source.bytes() > memory)
    return str("the model takes ", show_size(source.bytes()), " and ", show_size(memory),
               " of memory are free: running it would read the disk again and again (naming a calibration text "
               "asks for it all the same)");
  return {};
}

CalibrationText text_of(const CalibrationRequest& request) {
  CalibrationText source;
  source.text = request.text.empty() ? kSelfText : request.text;
  source.self.tokens = 2 * request.chunks * request.context;
  source.self.document_tokens = request.context;
  return source;
}

}  // namespace

ProbeOptions CalibrationRun::judging() const {
  ProbeOptions options = probing;
  options.chunks += holdout_chunks;
  return options;
}

std::optional<CalibrationRun> open_calibration(const ModelSource& source, const CalibrationRequest& request,
                                               Store& state) {
  if (!request.run) return std::nullopt;
  if (const std::string why = obstacle(source, !request.text.empty()); !why.empty()) {
    log_line(str(why, "; the plan rests on priors by role and position"));
    return std::nullopt;
  }
  CalibrationRun run;
  run.model = std::make_unique<infer::Model>(source);
  run.text = calibration_tokens(text_of(request), *run.model, &state);
  run.probing.context = request.context;
  run.probing.bos = run.text.bos;
  run.probing.memory_bytes = std::min(run.probing.memory_bytes, memory_for(MemoryUse::hidden_states));
  run.how = request.probing;
  const int64_t have = static_cast<int64_t>(run.text.tokens.size()) / request.context;
  // A short text is cut in two, so that some of it is left to judge by.
  run.probing.chunks = std::min(request.chunks, std::max<int64_t>(2, have * 2 / 3));
  run.holdout_chunks = std::clamp<int64_t>(have - run.probing.chunks, 0, request.chunks);
  return run;
}

namespace {

constexpr size_t kChecks = 6;  // tensors that are probed besides

std::string formats_of(const Profile& profile) {
  std::set<std::string_view> names;
  for (const ProfiledTensor& tensor : profile.tensors)
    for (const Candidate& candidate : tensor.candidates) names.insert(format_name(candidate.format));
  std::string list;
  for (const std::string_view name : names) list += str(list.empty() ? "" : ",", name);
  return list;
}

SensitivityOptions sensitivity_options(const ProbeOptions& probing, const Profile& profile) {
  SensitivityOptions options;
  options.chunks = std::min(options.chunks, probing.chunks);
  options.context = probing.context;
  options.bos = probing.bos;
  options.formats = formats_of(profile);
  options.memory_bytes = probing.memory_bytes;
  options.shard = probing.shard;
  options.shards = probing.shards;
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
