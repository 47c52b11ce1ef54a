#include "cli/calibration_options.hpp"

#include <algorithm>
#include <set>
#include <string_view>

#include "base/memory.hpp"
#include "base/progress.hpp"
#include "base/str.hpp"
#include "base/units.hpp"
#include "gguf/reader.hpp"
#include "measure/sensitivity.hpp"
#include "snug/error.hpp"

namespace snug::cli {
namespace {

bool is_known(const gguf::Reader& model) {
  const auto known = infer::known_architectures();
  return std::ranges::find(known, model.text("general.architecture").value_or("")) != known.end();
}

/// Why nothing is to be run; empty if it is.
std::string obstacle(const gguf::Reader& file, bool asked) {
  if (!is_known(file))
    return str("the forward pass of '", file.text("general.architecture").value_or("?"), "' is not known");
  const int64_t memory = available_memory();
  if (!asked && file.file_bytes() > memory)
    return str("the model takes ", show_size(file.file_bytes()), " and ", show_size(memory),
               " of memory are free: running it would read the disk again and again (--calib asks for it all "
               "the same)");
  return {};
}

}  // namespace

ProbeOptions Calibrated::judging() const {
  ProbeOptions options = probing;
  options.chunks += held_chunks;
  return options;
}

void CalibrationArgs::add_to(CLI::App& command) {
  command.add_option(
      "--calib", calib,
      "text on which the model is run to measure what each tensor does to the output; 'self' (the "
      "default) lets the model write it");
  command.add_flag("--no-probe", no_probe, "do not run the model: weigh tensors by role and position");
  command
      .add_option("--probe", probe,
                  "forward: run the model once for every tensor; reverse: a reverse pass tells of all tensors and "
                  "formats at once, and the few that matter most are run as well")
      ->check(CLI::IsMember({"forward", "reverse"}))
      ->capture_default_str();
  command
      .add_option("--probe-chunks", chunks,
                  "chunks of the text to measure on, at most; fit judges by as many again")
      ->check(CLI::Range(2, 100000))
      ->capture_default_str();
  command.add_option("--probe-context", context, "tokens of a chunk, at most the model's context")
      ->check(CLI::Range(16, 1 << 20))
      ->capture_default_str();
}

std::optional<Calibrated> CalibrationArgs::open(const std::string& model_path, Store& state) const {
  if (no_probe) return std::nullopt;
  {
    const gguf::Reader file{model_path};
    if (const std::string why = obstacle(file, !calib.empty()); !why.empty()) {
      notice(str(why, "; the plan rests on priors by role and position"));
      return std::nullopt;
    }
  }
  Calibrated calibrated;
  calibrated.model = std::make_unique<infer::Model>(model_path);
  CalibrationSource source;
  source.text = calib.empty() ? kSelfText : calib;
  source.self.tokens = 2 * chunks * context;
  source.self.document_tokens = context;
  calibrated.text = calibration_tokens(source, *calibrated.model, &state);
  calibrated.probing.context = context;
  calibrated.probing.bos = calibrated.text.bos;
  calibrated.reverse = probe == "reverse";
  const int64_t have = static_cast<int64_t>(calibrated.text.tokens.size()) / context;
  // A short text is cut in two, so that some of it is left to judge by.
  calibrated.probing.chunks = std::min(chunks, std::max<int64_t>(2, have * 2 / 3));
  calibrated.held_chunks = std::clamp<int64_t>(have - calibrated.probing.chunks, 0, chunks);
  return calibrated;
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

ProbeResults apply_reverse(const Calibrated& calibrated, Profile& profile, const Importance* importance,
                           Store& state) {
  const ProbeOptions& probing = calibrated.probing;
  SensitivityOptions options;
  options.chunks = std::min(options.chunks, probing.chunks);
  options.context = probing.context;
  options.bos = probing.bos;
  options.formats = formats_of(profile);
  options.memory_bytes = probing.memory_bytes;
  options.shard = probing.shard;
  options.shards = probing.shards;
  const std::span<const int32_t> tokens = calibrated.text.tokens;
  const SensitivityResults found = sensitivities(*calibrated.model, importance, state, tokens, options);
  if (!found.beyond.empty())
    notice(str(found.beyond.size(), " tensors, ", found.beyond.front(),
               " the first of them, are out of a reverse pass's reach: they are run one by one"));
  ProbeOptions some = probing;
  some.chunks = options.chunks;
  some.only = worth_checking(found, kChecks);
  some.only.insert(some.only.end(), found.beyond.begin(), found.beyond.end());
  const ProbeResults probes = probe(*calibrated.model, importance, state, tokens, some);
  apply_sensitivities(profile, found, probes);
  notice(str("a reverse pass over ", options.chunks, " chunks tells of ", found.tensors.size(), " tensors: ",
             found.measured, " figures measured, ", found.reused, " known, in ", show_duration(found.seconds),
             "; ", probes.tensors.size(), " tensors probed besides"));
  return probes;
}

}  // namespace

ProbeResults apply_calibration(const Calibrated& calibrated, Profile& profile, const Importance* importance,
                               Store& state) {
  if (calibrated.reverse) return apply_reverse(calibrated, profile, importance, state);
  const ProbeResults results =
      probe(*calibrated.model, importance, state, calibrated.text.tokens, calibrated.probing);
  apply_probes(profile, results);
  std::string line = str("probed ", results.tensors.size(), " tensors: ", results.measured, " runs, ",
                         results.reused, " known");
  if (results.forward_passes > 0)
    line += str(", in ", show_duration(results.seconds), ", the time of ",
                static_cast<int64_t>(results.forward_passes + 0.5), " passes over the text");
  notice(line);
  return results;
}

}  // namespace snug::cli
