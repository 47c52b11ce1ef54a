#include "cli/text/fit_report.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <utility>

#include "base/json_reader.hpp"
#include "base/str.hpp"
#include "base/units.hpp"
#include "cli/text/evaluated_text.hpp"
#include "cli/text/report_table.hpp"
#include "cli/text/written_text.hpp"

namespace snug::cli {
namespace {

nlohmann::ordered_json json_of(const EvaluatedRecipe& judged) {
  nlohmann::ordered_json json{{"recipe", judged.label},
                              {"tensor_bytes", judged.tensor_bytes},
                              {"predicted", judged.predicted},
                              {"measured", judged.measured.value},
                              {"standard_error", judged.measured.error},
                              {"change", judged.against_best.value},
                              {"change_standard_error", judged.against_best.error},
                              {"accepted", judged.accepted}};
  if (judged.scores)
    json.update({{"same_top", judged.scores->same_top.value},
                 {"same_top_standard_error", judged.scores->same_top.error},
                 {"perplexity", judged.scores->perplexity.value},
                 {"perplexity_standard_error", judged.scores->perplexity.error},
                 {"original_perplexity", judged.scores->original_perplexity}});
  return json;
}

nlohmann::ordered_json json_of(const ProbeSummary& probes) {
  return {{"tensors", probes.tensors},
          {"measured", probes.measured},
          {"reused", probes.reused},
          {"seconds", probes.seconds},
          {"forward_passes", probes.forward_passes}};
}

int64_t bytes_of(const std::vector<StageRead>& reads) {
  int64_t bytes = 0;
  for (const StageRead& read : reads) bytes += read.bytes;
  return bytes;
}

double times_read(const FitResult& result) {
  return static_cast<double>(bytes_of(result.reads)) / static_cast<double>(std::max<int64_t>(1, result.model_bytes));
}

nlohmann::ordered_json reads_json(const FitResult& result) {
  nlohmann::ordered_json stages;
  for (const StageRead& read : result.reads) stages[read.stage] = read.bytes;
  return {{"weights_bytes", result.model_bytes}, {"times", times_read(result)}, {"bytes", std::move(stages)}};
}

/// How often the weights were read, of a model that did not stay in memory.
std::string reads_text(const FitResult& result) {
  std::string stages;
  for (const StageRead& read : result.reads)
    stages += str(stages.empty() ? "" : ", ", read.stage, " ",
                  fixed(static_cast<double>(read.bytes) / static_cast<double>(result.model_bytes), 1));
  return str("the weights were read ", fixed(times_read(result), 1), " times: ", stages, "\n");
}

}  // namespace

std::string fit_json(const FitResult& result) {
  const Recipe& recipe = result.recipe;
  nlohmann::ordered_json document{{"recipe", nlohmann::ordered_json::parse(to_json(recipe))},
                                  {"measured", result.measured.measured},
                                  {"reused", result.measured.reused},
                                  {"measure_seconds", result.measured.seconds}};
  if (result.probes.tensors > 0) document["probes"] = json_of(result.probes);
  for (const EvaluatedRecipe& judged : result.judged) document["judged"].push_back(json_of(judged));
  document["state"] = result.state.string();
  if (!result.reads.empty()) document["reads"] = reads_json(result);
  if (result.written) {
    document["known"] = result.was_known;
    document["written_bytes"] = result.written->bytes;
    for (const auto& file : result.written->files) document["files"].push_back(file.string());
  }
  return json_text(document, 2);
}

std::string fit_text(const FitResult& result) {
  std::string text =
      report_table(result.profile, result.recipe) + judged_text(result.judged, result.holdout_tokens);
  text += result.was_known ? known_text(*result.written)
          : result.written ? written_text(*result.written)
                           : "nothing written (--dry-run)\n";
  if (!result.reads.empty()) text += reads_text(result);
  if (!result.moments.empty())
    text += str("error feedback with the second moments in\n  ", result.moments.string(),
                "\n  `snug quantize --recipe` needs them too: --hessians\n");
  return text;
}

}  // namespace snug::cli

