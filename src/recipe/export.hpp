#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "snug/recipe.hpp"

namespace snug {

enum class ExportTarget { llama_cpp, ik_llama_cpp, json, csv };

/// "llama.cpp", "ik_llama.cpp", "json" or "csv"; nothing for other names.
std::optional<ExportTarget> export_target(std::string_view name);

/// An ECMAScript regular expression over whole tensor names, and the format of the tensors it matches.
struct TypePattern {
  std::string pattern;  // anchored: "^blk\.(0|3)\.ffn_down\.weight$"
  FormatId format{};
};

/// Patterns for converters that search regexes in tensor names. Each tensor that a converter may quantize is
/// matched by exactly one, no tensor by two; layers of the same format share one. For llama.cpp patterns hold
/// no capitals (it lowers them). Throws Error where a name cannot be written in the target's syntax or told
/// apart, or where the target does not know a format.
std::vector<TypePattern> type_patterns(const Recipe& recipe, ExportTarget target);

/// The whole export: llama.cpp's --tensor-type-file, the value of ik_llama.cpp's --custom-q, recipe.json, or
/// CSV.
std::string export_recipe(const Recipe& recipe, ExportTarget target);

/// The shell command that makes the same file with llama-quantize; `exported` is the file that holds
/// export_recipe, or empty to spell the patterns out. MODEL, OUT and IMATRIX stand for the paths. Empty for
/// json and csv.
std::string export_command(const Recipe& recipe, ExportTarget target, const std::string& exported);

}  // namespace snug
