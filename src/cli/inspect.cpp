#include "cli/inspect.hpp"

#include <algorithm>
#include <iterator>
#include <map>

#include "base/files/file_kind.hpp"
#include "base/files/read_file.hpp"
#include "base/json_reader.hpp"
#include "base/printable.hpp"
#include "base/str.hpp"
#include "base/units.hpp"
#include "cli/text/model_lists.hpp"
#include "cli/text/report_table.hpp"
#include "cli/text/text_table.hpp"
#include "cli/text/wrap.hpp"
#include "imatrix/imatrix_file.hpp"
#include "model/roles.hpp"
#include "recipe/presets.hpp"
#include "snug/error.hpp"
#include "snug/model.hpp"
#include "snug/state.hpp"

namespace snug::cli {
namespace {

using nlohmann::ordered_json;

/// "label     value", cut to the width of a report.
std::string entry(const std::string& label, const std::string& value) {
  std::string line = left(label, 10) + value;
  if (line.size() > kReportWidth) line = line.substr(0, kReportWidth - 3) + "...";
  return line + "\n";
}

// --- model
// --------------------------------------------------------------------------------------------------------

struct FormatTotal {
  int64_t tensors = 0, weights = 0, bytes = 0;
};

std::map<FormatId, FormatTotal> totals_of(const ModelSource& model) {
  std::map<FormatId, FormatTotal> totals;
  for (const Tensor& tensor : model.tensors()) {
    FormatTotal& total = totals[tensor.format];
    ++total.tensors;
    total.weights += tensor.weights();
    total.bytes += tensor.bytes();
  }
  return totals;
}

double bits_per_weight(int64_t bytes, int64_t weights) {
  return weights > 0 ? 8.0 * static_cast<double>(bytes) / static_cast<double>(weights) : 0;
}

/// What quantizers note of their work: ours and llama-quantize's.
ordered_json notes_of(const ModelSource& model) {
  ordered_json notes = ordered_json::object();
  for (const MetadataEntry& entry : model.metadata().entries())
    if (entry.key.starts_with("snug.") || entry.key.starts_with("quantize.") ||
        entry.key == "general.file_type")
      notes[printable(entry.key)] = value_json(entry.value);
  return notes;
}

std::string shape_text(const ModelShape& s) {
  std::string text;
  const auto add = [&](int64_t number, const char* what) {
    if (number > 0) text += str(text.empty() ? "" : ", ", number, " ", what);
  };
  add(s.layers, "layers");
  add(s.embedding, "wide");
  add(s.heads, "heads");
  add(s.heads_kv, "KV heads");
  add(s.experts, "experts");
  add(s.experts_used, "used");
  add(s.context, "tokens of context");
  return s.tied_output ? text + ", output tied to the token embeddings" : text;
}

std::string format_table(const std::map<FormatId, FormatTotal>& totals, int64_t all_bytes) {
  const SizeUnits units = units_for(all_bytes);
  const auto line = [](const std::string& name, const std::string& tensors, const std::string& weights,
                       const std::string& decimal, const std::string& binary, const std::string& bpw,
                       const std::string& share) {
    return left(name, 10) + right(tensors, 8) + right(weights, 10) + right(decimal, 10) + right(binary, 10) +
           right(bpw, 8) + right(share, 9) + "\n";
  };
  std::string text =
      line("format", "tensors", "weights", units.decimal_name, units.binary_name, "bpw", "share");
  for (const auto& [format, total] : totals) {
    const auto bytes = static_cast<double>(total.bytes);
    text += line(std::string{format_name(format)}, show_count(total.tensors), show_weights(total.weights),
                 fixed(bytes / units.decimal, 3), fixed(bytes / units.binary, 3),
                 fixed(bits_per_weight(total.bytes, total.weights), 4),
                 all_bytes > 0 ? fixed(100 * bytes / static_cast<double>(all_bytes), 1) + " %" : "-");
  }
  return text;
}

std::string notes_text(const ordered_json& notes) {
  std::string text;
  const auto type = notes.find("general.file_type");
  if (type != notes.end() && type->is_number_unsigned())
    for (const Preset& preset : presets())
      if (preset.file_type == *type) text += entry("type", std::string{preset.name});
  for (const auto& [key, value] : notes.items()) text += entry("note", str(key, " = ", json_text(value)));
  return text;
}

ordered_json model_json(const ModelSource& model, const std::map<FormatId, FormatTotal>& totals,
                        const FormatTotal& all) {
  const ModelShape shape = shape_of(model);
  auto formats = ordered_json::array();
  for (const auto& [format, total] : totals)
    formats.push_back({{"format", format_name(format)},
                       {"tensors", total.tensors},
                       {"weights", total.weights},
                       {"bytes", total.bytes},
                       {"bits_per_weight", bits_per_weight(total.bytes, total.weights)}});
  return {{"kind", "model"},
          {"name", printable(shape.name)},
          {"architecture", printable(shape.architecture)},
          {"container", model.container()},
          {"files", model.files().size()},
          {"file_bytes", model.bytes()},
          {"shape",
           {{"layers", shape.layers},
            {"embedding", shape.embedding},
            {"heads", shape.heads},
            {"heads_kv", shape.heads_kv},
            {"experts", shape.experts},
            {"experts_used", shape.experts_used},
            {"context", shape.context},
            {"tied_output", shape.tied_output}}},
          {"tensors", all.tensors},
          {"weights", all.weights},
          {"tensor_bytes", all.bytes},
          {"bits_per_weight", bits_per_weight(all.bytes, all.weights)},
          {"formats", formats},
          {"notes", notes_of(model)}};
}

Inspection inspect_model(const ModelSource& model) {
  const auto totals = totals_of(model);
  FormatTotal all;
  for (const auto& [format, total] : totals) {
    all.tensors += total.tensors;
    all.weights += total.weights;
    all.bytes += total.bytes;
  }
  const ModelShape shape = shape_of(model);
  Inspection result{{}, model_json(model, totals, all)};
  result.text =
      entry("model", str(printable(shape.name), " (", printable(shape.architecture), ")")) +
      entry("file", str(show_size(model.bytes()), ", ", model.container(),
                        model.files().size() > 1 ? str(", ", model.files().size(), " files") : "")) +
      folded(left("shape", 10) + shape_text(shape) + "\n", kReportWidth, 10) +
      entry("tensors", str(show_count(all.tensors), ", ", show_count(all.weights), " weights, ",
                           fixed(bits_per_weight(all.bytes, all.weights), 4), " bits per weight")) +
      notes_text(result.json["notes"]) + "\n" + format_table(totals, all.bytes);
  return result;
}

// --- imatrix
// ------------------------------------------------------------------------------------------------------

struct Coverage {
  int64_t matrices = 0, unseen = 0, with_means = 0;
  ordered_json tensors_with_unseen = ordered_json::array();
};

Coverage coverage_of(const Imatrix& imatrix) {
  Coverage coverage;
  for (const auto& [name, sums] : imatrix.tensors) {
    const auto unseen = std::ranges::count_if(sums.counts, [](float count) { return count <= 0; });
    coverage.matrices += sums.mats;
    coverage.unseen += unseen;
    coverage.with_means += !sums.in_sum.empty();
    if (unseen > 0)
      coverage.tensors_with_unseen.push_back(
          {{"tensor", printable(name)}, {"never_hit", unseen}, {"experts", sums.mats}});
  }
  return coverage;
}

std::string unseen_text(const Coverage& coverage) {
  constexpr size_t kShown = 8;
  std::string text;
  for (size_t i = 0; i < std::min(coverage.tensors_with_unseen.size(), kShown); ++i) {
    const ordered_json& t = coverage.tensors_with_unseen[i];
    text += entry("", str(t["tensor"].get<std::string>(), ": ", t["never_hit"].get<int64_t>(), " of ",
                          t["experts"].get<int64_t>(), " experts never hit"));
  }
  if (coverage.tensors_with_unseen.size() > kShown)
    text += entry("", str("and ", coverage.tensors_with_unseen.size() - kShown, " tensors more"));
  return text;
}

Inspection inspect_imatrix(const std::filesystem::path& path) {
  const Imatrix imatrix = read_imatrix(path);
  const Coverage coverage = coverage_of(imatrix);
  auto datasets = ordered_json::array();
  for (const std::string& dataset : imatrix.datasets) datasets.push_back(printable(dataset));
  Inspection result{{},
                    {{"kind", "imatrix"},
                     {"form", imatrix.legacy ? "legacy" : "gguf"},
                     {"datasets", datasets},
                     {"chunks", imatrix.chunks},
                     {"chunk_tokens", imatrix.chunk_tokens},
                     {"tensors", imatrix.tensors.size()},
                     {"tensors_with_means", coverage.with_means},
                     {"matrices", coverage.matrices},
                     {"matrices_never_hit", coverage.unseen},
                     {"never_hit", coverage.tensors_with_unseen}}};
  result.text = entry("imatrix", imatrix.legacy ? "legacy .dat: mean squares only" : "GGUF");
  for (const auto& dataset : datasets) result.text += entry("dataset", dataset.get<std::string>());
  result.text +=
      entry("chunks", str(show_count(imatrix.chunks),
                          imatrix.chunk_tokens > 0 ? str(" of ", imatrix.chunk_tokens, " tokens") : "")) +
      entry("tensors", str(show_count(static_cast<int64_t>(imatrix.tensors.size())), ", of which ",
                           show_count(coverage.with_means), " with means")) +
      entry("matrices", str(show_count(coverage.matrices), ", of which ", show_count(coverage.unseen),
                            " never hit by a token")) +
      unseen_text(coverage);
  return result;
}

// --- state and recipe
// ---------------------------------------------------------------------------------------------

Inspection inspect_state(const std::filesystem::path& path) {
  const Store store = Store::open(path, Access::read);
  const OpenReport report = store.report();
  auto damage = ordered_json::array();
  for (const Damage& d : report.damage)
    damage.push_back({{"offset", d.offset}, {"bytes", d.bytes}, {"why", d.why}});
  Inspection result{{},
                    {{"kind", "state"},
                     {"bytes", report.bytes},
                     {"records", report.records},
                     {"measurements", store.count(RecordKind::measurement)},
                     {"tensor_infos", store.count(RecordKind::tensor_info)},
                     {"probes", store.count(RecordKind::probe)},
                     {"notes", store.count(RecordKind::note)},
                     {"evaluations", store.count(RecordKind::evaluation)},
                     {"sensitivities", store.count(RecordKind::sensitivity)},
                     {"comparisons", store.count(RecordKind::comparison)},
                     {"superseded", report.superseded},
                     {"unknown", report.unknown},
                     {"torn_tail_bytes", report.torn_tail_bytes},
                     {"damage", damage},
                     {"contents", store.contents_digest().hex()}}};
  const auto number = [&](const char* key) { return show_count(result.json[key].get<int64_t>()); };
  result.text = entry("state", show_size(report.bytes)) +
                entry("records", str(number("records"), ": ", number("measurements"), " measurements, ",
                                     number("tensor_infos"), " tensors, ", number("probes"), " probes, ",
                                     number("notes"), " notes")) +
                entry("contents", result.json["contents"].get<std::string>());
  if (report.superseded > 0)
    result.text += entry("", number("superseded") + " superseded; `snug state compact` drops them");
  if (report.unknown > 0) result.text += entry("", number("unknown") + " of a later snug, kept as they are");
  if (report.torn_tail_bytes > 0)
    result.text +=
        entry("", number("torn_tail_bytes") + " bytes of an unfinished record at the end, ignored");
  for (const Damage& d : report.damage)
    result.text += entry("damage", str(show_count(d.bytes), " bytes at offset ", d.offset, ": ", d.why));
  return result;
}

Inspection inspect_recipe(const std::filesystem::path& path) {
  const Recipe recipe = parse_recipe(read_file(path), path.string());
  Inspection result{{},
                    {{"kind", "recipe"},
                     {"made_by", recipe.made_by},
                     {"model", recipe.model_name},
                     {"architecture", recipe.architecture},
                     {"runtime", recipe.runtime},
                     {"tensors", recipe.tensors.size()}}};
  result.json.update(report_json(recipe));
  result.text =
      entry("recipe",
            str(printable(recipe.model_name), " (", printable(recipe.architecture), ") for ",
                printable(recipe.runtime), ", by ", printable(recipe.made_by))) +
      entry("imatrix", recipe.imatrix_digest.empty() ? "none" : printable(recipe.imatrix_digest)) +
      entry("digest", recipe_digest(recipe)) + "\n" + report_table(recipe);
  return result;
}

Inspection inspect_gguf(const std::filesystem::path& path) {
  const ModelSource file = open_model(path);
  const MetadataValue* type = file.metadata().find("general.type");
  const auto* text = type ? std::get_if<std::string_view>(type) : nullptr;
  return text && *text == "imatrix" ? inspect_imatrix(path) : inspect_model(file);
}

}  // namespace

Inspection inspect(const std::filesystem::path& path) {
  const auto look = [&] {
    switch (file_kind(path)) {
      case FileKind::gguf:
        return inspect_gguf(path);
      case FileKind::legacy_imatrix:
        return inspect_imatrix(path);
      case FileKind::state:
        return inspect_state(path);
      case FileKind::recipe:
        return inspect_recipe(path);
    }
    throw Error{"unknown kind of file", path.string()};
  };
  Inspection result = look();
  result.json["path"] = path.string();
  return result;
}

}  // namespace snug::cli
