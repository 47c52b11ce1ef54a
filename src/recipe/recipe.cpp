#include "snug/recipe.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "base/digest.hpp"
#include "base/json_reader.hpp"
#include "base/printable.hpp"
#include "base/str.hpp"
#include "recipe/format_names.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

using nlohmann::ordered_json;

constexpr std::string_view kNormal = "normal", kMax = "max";
constexpr BudgetKind kBudgetKinds[] = {BudgetKind::none, BudgetKind::file, BudgetKind::tensors};

void require_finite(double number, std::string_view what) {
  if (!std::isfinite(number)) throw Error{str("the recipe's ", what, " is not a finite number")};
}

/// Everything but the tensors, in the order people read it. gap and bits_per_weight are for them: not read
/// back.
ordered_json head_of(const Recipe& r) {
  ordered_json head;
  head["snug_recipe"] = Recipe::kVersion;
  head["made_by"] = r.made_by;
  head["model"] = {{"name", r.model_name}, {"architecture", r.architecture}, {"digest", r.model_digest}};
  head["imatrix_digest"] = r.imatrix_digest;
  head["state_digest"] = r.state_digest;
  head["runtime"] = r.runtime;
  head["method"] = r.method;
  head["effort"] = r.effort == Effort::max ? kMax : kNormal;
  if (r.error_feedback) head["error_feedback"] = true;
  if (!r.notes) head["notes"] = false;
  head["budget"] = {{"kind", budget_name(r.budget_kind)}, {"bytes", r.budget_bytes}};
  head["size"] = {{"file_bytes", r.file_bytes},
                  {"tensor_bytes", r.tensor_bytes},
                  {"weights", r.weights},
                  {"split_bytes", r.split_bytes},
                  {"bits_per_weight", r.bits_per_weight()}};
  if (!r.limits.empty()) head["limits"] = r.limits;
  if (r.loss_known)
    head["loss"] = {{"predicted", r.predicted_loss},
                    {"certified_bound", r.certified_bound},
                    {"gap", r.gap()},
                    {"proven_optimal", r.proven_optimal}};
  if (r.measured) {
    head["measured"] = {{"kl", r.measured->kl},
                        {"standard_error", r.measured->standard_error},
                        {"tokens", r.measured->tokens}};
    if (!r.measured->text.empty()) head["measured"]["text"] = r.measured->text;
  }
  for (const LeftOut& l : r.left_out) head["left_out"].push_back({{"what", l.what}, {"why", l.why}, {"cost", l.cost}});
  for (const RecipeFold& fold : r.folds)
    head["folds"].push_back({{"pair", fold.pair}, {"inputs", fold.inputs}, {"weights", fold.weights}});
  return head;
}

ordered_json line_of(const RecipeTensor& t, bool loss_known) {
  require_finite(t.loss, str("loss of '", t.name, "'"));
  ordered_json line;
  line["name"] = t.name;
  line["format"] = format_name(t.format);
  line["bytes"] = t.bytes;
  if (loss_known) line["loss"] = t.loss;
  if (t.copied) line["copied"] = true;
  if (t.unweighted) line["unweighted"] = true;
  return line;
}

void read_head(const JsonNode& root, Recipe& r) {
  r.made_by = root.at("made_by").text();
  const JsonNode model = root.at("model");
  r.model_name = model.at("name").text();
  r.architecture = model.at("architecture").text();
  r.model_digest = model.at("digest").text();
  r.imatrix_digest = root.at("imatrix_digest").text();
  r.state_digest = root.at("state_digest").text();
  r.runtime = root.at("runtime").text();
  r.method = root.at("method").text();
  const JsonNode effort = root.at("effort");
  if (effort.text() != kNormal && effort.text() != kMax)
    effort.refuse(str("expected \"normal\" or \"max\", found ", quoted(effort.text())));
  r.effort = effort.text() == kMax ? Effort::max : Effort::normal;
  if (root.has("error_feedback")) r.error_feedback = root.at("error_feedback").boolean();
  if (root.has("notes")) r.notes = root.at("notes").boolean();
}

void read_loss(const JsonNode& loss, Recipe& r) {
  r.predicted_loss = loss.at("predicted").number_from_zero();
  r.certified_bound = loss.at("certified_bound").number();
  r.proven_optimal = loss.at("proven_optimal").boolean();
}

void read_left_out(const JsonNode& list, Recipe& r) {
  for (size_t i = 0; i < list.array_size(); ++i) {
    const JsonNode node = list.at(i);
    r.left_out.push_back({node.at("what").text(), node.at("why").text(), node.at("cost").text()});
  }
}

void read_folds(const JsonNode& list, Recipe& r) {
  for (size_t i = 0; i < list.array_size(); ++i) {
    const JsonNode node = list.at(i);
    r.folds.push_back(
        {node.at("pair").text(), node.at("inputs").number_from_zero(), node.at("weights").number_from_zero()});
  }
}

void read_numbers(const JsonNode& root, Recipe& r) {
  const JsonNode budget = root.at("budget");
  const JsonNode kind = budget.at("kind");
  const auto known = std::ranges::find(kBudgetKinds, kind.text(), budget_name);
  if (known == std::end(kBudgetKinds))
    kind.refuse(str("expected \"file\", \"bpw\" or \"none\", found ", quoted(kind.text())));
  r.budget_kind = *known;
  r.budget_bytes = budget.at("bytes").whole();
  const JsonNode size = root.at("size");
  r.file_bytes = size.at("file_bytes").whole();
  r.tensor_bytes = size.at("tensor_bytes").whole();
  r.weights = size.at("weights").whole();
  r.split_bytes = size.at("split_bytes").whole();
  if (root.has("limits")) r.limits = root.at("limits").text();
  r.loss_known = root.has("loss");
  if (r.loss_known) read_loss(root.at("loss"), r);
  if (!root.has("measured")) return;
  const JsonNode measured = root.at("measured");
  r.measured = {measured.at("kl").number(), measured.at("standard_error").number_from_zero(),
                measured.at("tokens").whole(), measured.has("text") ? measured.at("text").text() : ""};
}

RecipeTensor read_tensor(const JsonNode& node, bool loss_known) {
  RecipeTensor t;
  t.name = node.at("name").text();
  if (t.name.empty()) node.at("name").refuse("a tensor's name is empty");
  const JsonNode format = node.at("format");
  const auto id = format_of_name(format.text());
  if (!id)
    format.refuse(str("unknown format ", quoted(format.text())),
                  "formats are written as in \"q4_K\" or \"iq3_s\"");
  t.format = *id;
  t.bytes = node.at("bytes").whole();
  if (loss_known) t.loss = node.at("loss").number_from_zero();
  t.copied = node.has("copied") && node.at("copied").boolean();
  t.unweighted = node.has("unweighted") && node.at("unweighted").boolean();
  return t;
}

void read_tensors(const JsonNode& list, Recipe& r) {
  std::set<std::string> names;
  int64_t sum = 0;
  for (size_t i = 0; i < list.array_size(); ++i) {
    const JsonNode node = list.at(i);
    RecipeTensor t = read_tensor(node, r.loss_known);
    if (!names.insert(t.name).second)
      node.at("name").refuse(str("the tensor ", quoted(t.name), " is listed twice"));
    if (t.bytes > std::numeric_limits<int64_t>::max() - sum)
      node.at("bytes").refuse("the sizes add up to over 2^63");
    sum += t.bytes;
    r.tensors.push_back(std::move(t));
  }
  if (r.tensors.empty()) list.refuse("the recipe lists no tensor");
}

void check_version(const JsonNode& root) {
  if (!root.has("snug_recipe"))
    root.refuse("not a recipe: the key 'snug_recipe' is missing", "`snug plan -o recipe.json` writes one");
  const JsonNode version = root.at("snug_recipe");
  if (version.whole() != Recipe::kVersion)
    version.refuse(
        str("version ", version.whole(), " of the recipe format; this snug reads version ", Recipe::kVersion),
        "use the snug that wrote it, or plan again with this one");
}

}  // namespace

std::string_view budget_name(BudgetKind kind) {
  switch (kind) {
    case BudgetKind::none: return "none";
    case BudgetKind::file: return "file";
    case BudgetKind::tensors: return "bpw";
  }
  return "";
}

std::string to_json(const Recipe& recipe) {
  require_finite(recipe.predicted_loss, "predicted loss");
  require_finite(recipe.certified_bound, "certified bound");
  if (recipe.measured) {
    require_finite(recipe.measured->kl, "measured divergence");
    require_finite(recipe.measured->standard_error, "measured divergence's standard error");
  }
  std::string text = json_text(head_of(recipe), 2);
  text.resize(text.size() - 2);  // the closing "\n}"
  text += ",\n  \"tensors\": [";
  const char* before = "\n    ";
  for (const RecipeTensor& t : recipe.tensors) {
    if (!is_utf8(t.name)) throw Error{"a tensor's name is not UTF-8", printable(t.name), "rename the tensor"};
    text += before + json_text(line_of(t, recipe.loss_known));
    before = ",\n    ";
  }
  return text + "\n  ]\n}\n";
}

Recipe parse_recipe(const std::string& json, const std::string& where) {
  const nlohmann::json document = parse_json(json, where);
  const JsonNode root{document, where};
  check_version(root);
  Recipe recipe;
  read_head(root, recipe);
  read_numbers(root, recipe);
  if (root.has("left_out")) read_left_out(root.at("left_out"), recipe);
  if (root.has("folds")) read_folds(root.at("folds"), recipe);
  read_tensors(root.at("tensors"), recipe);
  return recipe;
}

std::string recipe_digest(const Recipe& recipe) {
  Hasher hasher;
  hasher.add(uint64_t{Recipe::kVersion}).add(static_cast<uint64_t>(recipe.effort));
  if (recipe.error_feedback) hasher.add("error feedback");
  if (!recipe.notes) hasher.add("without notes");
  for (const RecipeFold& fold : recipe.folds)
    hasher.add(fold.pair).add(static_cast<uint64_t>(4 * fold.inputs)).add(static_cast<uint64_t>(4 * fold.weights));
  for (const RecipeTensor& t : recipe.tensors) hasher.add(t.name).add(static_cast<uint64_t>(t.format));
  return hasher.finish().hex();
}

}  // namespace snug
