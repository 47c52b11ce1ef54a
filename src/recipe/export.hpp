#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "recipe/target.hpp"
#include "snug/recipe.hpp"

namespace snug {

/// What a recipe is turned into: the patterns of a target's own quantizer, or one of two documents.
struct ExportTarget {
  enum class Form : uint8_t { patterns, json, csv };
  Form form;
  const Target* target;  // of patterns; nullptr otherwise
};

/// By the name of a target, or "json" or "csv"; nothing for other names.
std::optional<ExportTarget> export_target(std::string_view name);
std::vector<std::string> export_names();

/// An ECMAScript regular expression over whole tensor names, and the format of the tensors it matches.
struct TypePattern {
  std::string pattern;  // anchored: "^blk\.(0|3)\.ffn_down\.weight$"
  FormatId format{};
};

/// Patterns for converters that search regexes in tensor names. Each tensor that a converter may quantize is
/// matched by exactly one, no tensor by two; layers of the same format share one. For llama.cpp patterns hold
/// no capitals (it lowers them). Throws Error where a name cannot be written in the target's syntax or told
/// apart, where the target does not know a format, or where its quantizer would ask for importance that is not
/// there.
std::vector<TypePattern> type_patterns(const Recipe& recipe, const Target& target);

/// The whole export: llama.cpp's --tensor-type-file, the value of ik_llama.cpp's --custom-q, recipe.json, or
/// CSV.
std::string export_recipe(const Recipe& recipe, const ExportTarget& target);

/// The shell command that makes the same file with llama-quantize; `exported` is the file that holds
/// export_recipe, or empty to spell the patterns out. MODEL, OUT and IMATRIX stand for the paths. Empty for
/// json and csv.
std::string export_command(const Recipe& recipe, const ExportTarget& target, const std::string& exported);

}  // namespace snug
