#include "recipe/export.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <set>

#include "base/str.hpp"
#include "recipe/file_type.hpp"
#include "recipe/presets.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

constexpr std::string_view kBlock = "blk.";

/// Kept as they are by every converter, whatever a pattern says.
bool never_quantized(const RecipeTensor& tensor) {
  const auto holds = [&](std::string_view part) { return tensor.name.find(part) != std::string::npos; };
  return tensor.copied &&
         (!tensor.name.ends_with("weight") || holds("_norm.weight") || holds("ffn_gate_inp.weight"));
}

bool is_upper(char c) {
  return c >= 'A' && c <= 'Z';
}

/// What stands for `c` in a pattern: itself, escaped, or any character where the target's syntax cannot hold
/// it.
std::string escaped(char c, ExportSyntax syntax) {
  if (syntax == ExportSyntax::tensor_type_file && is_upper(c)) return ".";
  constexpr std::string_view kSpecial = R"(.^$|()[]{}*+?\)";
  return kSpecial.find(c) == kSpecial.npos ? std::string(1, c) : std::string{'\\', c};
}

std::string escaped(std::string_view text, ExportSyntax syntax) {
  std::string pattern;
  for (const char c : text) pattern += escaped(c, syntax);
  return pattern;
}

void check_writable(const std::string& name) {
  for (const char c : name)
    if (c == '=' || c == ',' || c == '"' || c == '\'' || static_cast<unsigned char>(c) <= ' ' || c == '\x7f')
      throw Error{str("the tensor name '", name, "' cannot be written as a pattern"), "recipe",
                  "export to json or csv instead"};
}

/// Names that differ only where a capital became "any character" cannot be told apart.
void check_distinct(const Recipe& recipe) {
  const auto alike = [](const std::string& capital, const std::string& other) {
    return std::ranges::equal(capital, other, [](char a, char b) { return is_upper(a) || a == b; });
  };
  for (const RecipeTensor& t : recipe.tensors) {
    if (std::ranges::none_of(t.name, is_upper)) continue;
    for (const RecipeTensor& other : recipe.tensors)
      if (other.format != t.format && alike(t.name, other.name))
        throw Error{
            str("llama-quantize cannot tell '", t.name, "' from '", other.name, "': it lowers capitals"),
            "recipe", "pin both to the same format"};
  }
}

void check_loads(const RecipeTensor& tensor, const Target& target) {
  if (!find_format(tensor.format) || target.loads(tensor.format)) return;
  throw Error{str(target.name, " has no ", format_name(tensor.format), ", the format of '", tensor.name, "'"),
              "recipe",
              str("plan again for the runtime ", target.name, ", or without that format")};
}

bool has_importance(const Recipe& recipe, const RecipeTensor& tensor) {
  return !recipe.imatrix_digest.empty() && !tensor.unweighted;
}

/// Its own quantizer would stop there, or end in an assertion: said before anything is written.
void check_importance(const Recipe& recipe, const RecipeTensor& tensor, const Target& target) {
  if (!target.needs_importance(tensor.name, tensor.format) || has_importance(recipe, tensor)) return;
  if (tensor.copied && !(target.asks_for_copies && recipe.imatrix_digest.empty())) return;
  throw Error{str(target.name, "'s llama-quantize does not encode '", tensor.name, "' as ",
                  format_name(tensor.format), " without importance, and ",
                  recipe.imatrix_digest.empty() ? "the recipe was made without an imatrix"
                                                : "the imatrix has none for it"),
              "recipe",
              "plan again with an imatrix that has it or with more bits for that tensor, or write the model with "
              "`snug quantize`, which encodes it without"};
}

void check(const Recipe& recipe, const Target& target) {
  for (const RecipeTensor& tensor : recipe.tensors) {
    check_loads(tensor, target);
    check_importance(recipe, tensor, target);
  }
}

/// "blk.12.ffn_down.weight" is layer 12 of "ffn_down.weight". Only numbers written as numbers are: not
/// "blk.012.".
struct Place {
  int64_t layer = -1;
  std::string_view rest;
};

Place place_of(std::string_view name) {
  if (!name.starts_with(kBlock)) return {-1, name};
  const std::string_view tail = name.substr(kBlock.size());
  const size_t dot = tail.find('.');
  int64_t layer = -1;
  if (dot == tail.npos || dot == 0 || dot > 9 || (tail[0] == '0' && dot > 1)) return {-1, name};
  const auto [end, fault] = std::from_chars(tail.data(), tail.data() + dot, layer);
  if (fault != std::errc{} || end != tail.data() + dot || layer < 0) return {-1, name};
  return {layer, tail.substr(dot + 1)};
}

/// What is alike but for the layer.
struct Kind {
  std::string_view rest;
  FormatId format;
  auto operator<=>(const Kind&) const = default;
};

/// As the target's command line calls it; types that are only copied have one name everywhere.
std::string_view type_name(const Target& target, FormatId id) {
  const TargetFormat* format = target.find(id);
  return format ? format->name() : format_name(id);
}

std::string layer_pattern(const std::set<int64_t>& layers) {
  std::string text;
  for (const int64_t layer : layers) text += str(text.empty() ? "" : "|", layer);
  return layers.size() == 1 ? text : str("(", text, ")");
}

std::string pairs(const Recipe& recipe, const Target& target, std::string_view before,
                  std::string_view after) {
  std::string text;
  for (const TypePattern& p : type_patterns(recipe, target))
    text += str(before, p.pattern, "=", type_name(target, p.format), after);
  return text;
}

/// --custom-q's value: pairs with commas between them.
std::string custom_q(const Recipe& recipe, const Target& target) {
  std::string list = pairs(recipe, target, "", ",");
  if (!list.empty()) list.pop_back();
  return list;
}

std::string shell_quoted(const std::string& text) {
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? std::string{"'\\''"} : std::string(1, c);
  return quoted + "'";
}

std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string{"\"\""} : std::string(1, c);
  return quoted + "\"";
}

std::string shortest(double number) {
  std::array<char, 32> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
  return {digits.data(), end};
}

std::string to_csv(const Recipe& recipe) {
  std::string text = "name,format,bytes,loss,copied\n";
  for (const RecipeTensor& t : recipe.tensors)
    text += str(csv_field(t.name), ",", format_name(t.format), ",", t.bytes, ",",
                recipe.loss_known ? shortest(t.loss) : "", ",", t.copied ? "true" : "false", "\n");
  return text;
}

/// What stands behind the paths: only a label where every tensor has its pattern, but it must name a
/// quantized type (else overrides are not looked at), and one that asks for no imatrix where there is none.
std::string_view base_type(const Recipe& recipe) {
  const uint32_t label = file_type_for_bpw(recipe.bits_per_weight());
  for (const Preset& preset : presets())
    if (preset.file_type == label && block_shape(preset.base).block_weights > 1 &&
        (!recipe.imatrix_digest.empty() || !preset.name.starts_with("iq")))
      return preset.name;
  return "q8_0";
}

const RecipeTensor* find_tensor(const Recipe& recipe, std::string_view name) {
  const auto found = std::ranges::find(recipe.tensors, name, &RecipeTensor::name);
  return found == recipe.tensors.end() ? nullptr : &*found;
}

/// " --option type"; empty without a tensor.
std::string type_option(std::string_view option, const RecipeTensor* tensor, const Target& target) {
  return tensor ? str(" ", option, " ", type_name(target, tensor->format)) : "";
}

/// llama.cpp's --token-embedding-type goes before the patterns and counts for the embeddings of each layer,
/// too: it is left out where they have formats of their own.
bool is_one_format(const RecipeTensor* embeddings, const RecipeTensor* per_layer) {
  return !embeddings || !per_layer || embeddings->format == per_layer->format;
}

std::string end_options(const Recipe& recipe, const Target& target) {
  const RecipeTensor* embeddings = find_tensor(recipe, "token_embd.weight");
  const RecipeTensor* output = find_tensor(recipe, "output.weight");
  std::string options;
  if (is_one_format(embeddings, find_tensor(recipe, "per_layer_token_embd.weight")))
    options = type_option("--token-embedding-type", embeddings, target);
  return options + type_option("--output-tensor-type", output ? output : embeddings, target);
}

/// The patterns as an option: by the file that holds them, or spelled out.
std::string pattern_options(const Recipe& recipe, const Target& target, const std::string& exported) {
  if (target.syntax == ExportSyntax::custom_q)
    return " --custom-q " + (exported.empty() ? shell_quoted(custom_q(recipe, target))
                                              : str("\"$(cat ", shell_quoted(exported), ")\""));
  return exported.empty() ? pairs(recipe, target, " --tensor-type '", "'")
                          : " --tensor-type-file " + shell_quoted(exported);
}

}  // namespace

std::optional<ExportTarget> export_target(std::string_view name) {
  for (const Target& target : targets())
    if (name == target.name && target.syntax != ExportSyntax::none) return ExportTarget{ExportTarget::Form::patterns, &target};
  if (name == "json") return ExportTarget{ExportTarget::Form::json, nullptr};
  if (name == "csv") return ExportTarget{ExportTarget::Form::csv, nullptr};
  return std::nullopt;
}

std::vector<std::string> export_names() {
  std::vector<std::string> names;
  for (const Target& target : targets())
    if (target.syntax != ExportSyntax::none) names.emplace_back(target.name);
  names.insert(names.end(), {"json", "csv"});
  return names;
}

std::vector<TypePattern> type_patterns(const Recipe& recipe, const Target& target) {
  check(recipe, target);
  if (target.syntax == ExportSyntax::tensor_type_file) check_distinct(recipe);
  std::vector<TypePattern> patterns;
  std::map<Kind, std::set<int64_t>> kinds;
  for (const RecipeTensor& t : recipe.tensors) {
    if (never_quantized(t)) continue;
    check_writable(t.name);
    const Place place = place_of(t.name);
    if (place.layer < 0)
      patterns.push_back({str("^", escaped(t.name, target.syntax), "$"), t.format});
    else
      kinds[{place.rest, t.format}].insert(place.layer);
  }
  for (const auto& [kind, layers] : kinds)
    patterns.push_back(
        {str("^blk\\.", layer_pattern(layers), "\\.", escaped(kind.rest, target.syntax), "$"), kind.format});
  return patterns;
}

std::string export_recipe(const Recipe& recipe, const ExportTarget& target) {
  if (target.form == ExportTarget::Form::json) return to_json(recipe);
  if (target.form == ExportTarget::Form::csv) return to_csv(recipe);
  return target.target->syntax == ExportSyntax::custom_q ? custom_q(recipe, *target.target) + "\n"
                                                         : pairs(recipe, *target.target, "", "\n");
}

std::string export_command(const Recipe& recipe, const ExportTarget& target, const std::string& exported) {
  if (target.form != ExportTarget::Form::patterns) return {};
  return str("llama-quantize", recipe.imatrix_digest.empty() ? "" : " --imatrix IMATRIX",
             end_options(recipe, *target.target), pattern_options(recipe, *target.target, exported),
             " MODEL OUT ", base_type(recipe), "\n");
}

}  // namespace snug
