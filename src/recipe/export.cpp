#include "recipe/export.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <set>

#include "base/str.hpp"
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
std::string escaped(char c, ExportTarget target) {
  if (target == ExportTarget::llama_cpp && is_upper(c)) return ".";
  constexpr std::string_view kSpecial = R"(.^$|()[]{}*+?\)";
  return kSpecial.find(c) == kSpecial.npos ? std::string(1, c) : std::string{'\\', c};
}

std::string escaped(std::string_view text, ExportTarget target) {
  std::string pattern;
  for (const char c : text) pattern += escaped(c, target);
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
            "recipe", "give both the same format with --pin"};
  }
}

void check_formats(const Recipe& recipe, ExportTarget target) {
  constexpr std::array kUnknownToIk{FormatId::nvfp4, FormatId::q1_0, FormatId::q2_0, FormatId::tq1_0,
                                    FormatId::tq2_0};
  if (target != ExportTarget::ik_llama_cpp) return;
  for (const RecipeTensor& t : recipe.tensors)
    if (std::ranges::find(kUnknownToIk, t.format) != kUnknownToIk.end())
      throw Error{str("ik_llama.cpp has no ", format_name(t.format), ", the format of '", t.name, "'"),
                  "recipe", "plan again with --runtime ik_llama.cpp, or without that format (--formats)"};
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

std::string layer_pattern(const std::set<int64_t>& layers) {
  std::string text;
  for (const int64_t layer : layers) text += str(text.empty() ? "" : "|", layer);
  return layers.size() == 1 ? text : str("(", text, ")");
}

std::string pairs(const Recipe& recipe, ExportTarget target, std::string_view before,
                  std::string_view after) {
  std::string text;
  for (const TypePattern& p : type_patterns(recipe, target))
    text += str(before, p.pattern, "=", format_name(p.format), after);
  return text;
}

/// --custom-q's value: pairs with commas between them.
std::string custom_q(const Recipe& recipe) {
  std::string list = pairs(recipe, ExportTarget::ik_llama_cpp, "", ",");
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
    text += str(csv_field(t.name), ",", format_name(t.format), ",", t.bytes, ",", shortest(t.loss), ",",
                t.copied ? "true" : "false", "\n");
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

/// " --option format" of that tensor; empty where the recipe has no such tensor.
std::string tensor_option(const Recipe& recipe, std::string_view option, std::string_view tensor) {
  const auto found = std::ranges::find(recipe.tensors, tensor, &RecipeTensor::name);
  return found == recipe.tensors.end() ? "" : str(" ", option, " ", format_name(found->format));
}

}  // namespace

std::optional<ExportTarget> export_target(std::string_view name) {
  if (name == "llama.cpp") return ExportTarget::llama_cpp;
  if (name == "ik_llama.cpp") return ExportTarget::ik_llama_cpp;
  if (name == "json") return ExportTarget::json;
  if (name == "csv") return ExportTarget::csv;
  return std::nullopt;
}

std::vector<TypePattern> type_patterns(const Recipe& recipe, ExportTarget target) {
  check_formats(recipe, target);
  if (target == ExportTarget::llama_cpp) check_distinct(recipe);
  std::vector<TypePattern> patterns;
  std::map<Kind, std::set<int64_t>> kinds;
  for (const RecipeTensor& t : recipe.tensors) {
    if (never_quantized(t)) continue;
    check_writable(t.name);
    const Place place = place_of(t.name);
    if (place.layer < 0)
      patterns.push_back({str("^", escaped(t.name, target), "$"), t.format});
    else
      kinds[{place.rest, t.format}].insert(place.layer);
  }
  for (const auto& [kind, layers] : kinds)
    patterns.push_back(
        {str("^blk\\.", layer_pattern(layers), "\\.", escaped(kind.rest, target), "$"), kind.format});
  return patterns;
}

std::string export_recipe(const Recipe& recipe, ExportTarget target) {
  switch (target) {
    case ExportTarget::llama_cpp:
      return pairs(recipe, target, "", "\n");
    case ExportTarget::ik_llama_cpp:
      return custom_q(recipe) + "\n";
    case ExportTarget::json:
      return to_json(recipe);
    case ExportTarget::csv:
      return to_csv(recipe);
  }
  return {};
}

std::string export_command(const Recipe& recipe, ExportTarget target, const std::string& exported) {
  if (target == ExportTarget::json || target == ExportTarget::csv) return {};
  std::string command = "llama-quantize";
  if (!recipe.imatrix_digest.empty()) command += " --imatrix IMATRIX";
  command += tensor_option(recipe, "--token-embedding-type", "token_embd.weight");
  const std::string output = tensor_option(recipe, "--output-tensor-type", "output.weight");
  command += output.empty() ? tensor_option(recipe, "--output-tensor-type", "token_embd.weight") : output;
  if (target == ExportTarget::ik_llama_cpp)
    command += " --custom-q " + (exported.empty() ? shell_quoted(custom_q(recipe))
                                                  : str("\"$(cat ", shell_quoted(exported), ")\""));
  else
    command += exported.empty() ? pairs(recipe, target, " --tensor-type '", "'")
                                : " --tensor-type-file " + shell_quoted(exported);
  return str(command, " MODEL OUT ", base_type(recipe), "\n");
}

}  // namespace snug
