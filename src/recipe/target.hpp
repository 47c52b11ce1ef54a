#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "snug/format.hpp"

namespace snug {

/// How the target's own quantizer takes a recipe: a pattern a line in a file, or all of them in one argument; none
/// where it has no words for one.
enum class ExportSyntax : uint8_t { tensor_type_file, custom_q, none };

/// Whether the target's own quantizer can do without importance for a tensor: `for_layers` is where it refuses
/// all but the ends of the model (Target::ends), and `always` where it aborts on those, too.
enum class NeedsImportance : uint8_t { never, for_layers, always };

struct TargetFormat {
  FormatId id;
  NeedsImportance needs = NeedsImportance::never;
  std::string_view alias{};  // where the target's command line does not call it format_name(id)

  std::string_view name() const { return alias.empty() ? format_name(id) : alias; }
};

/// A program that loads what snug writes. Nothing else says which formats it knows.
struct Target {
  std::string_view name;  // "llama.cpp", as --runtime and --to have it
  Family family;          // of the files it loads, and so of all its formats
  std::span<const TargetFormat> formats;  // sorted by id
  ExportSyntax syntax;
  std::span<const std::string_view> ends;  // tensors that for_layers leaves out
  bool asks_for_copies;  // wants an imatrix even where a tensor already is in a format that needs one

  /// nullptr if it does not load the format.
  const TargetFormat* find(FormatId id) const;
  bool loads(FormatId id) const { return find(id) != nullptr; }

  /// Whether its quantizer takes `tensor` in that format when there is no importance for it.
  bool needs_importance(std::string_view tensor, FormatId id) const;
};

std::span<const Target> targets();
std::vector<std::string_view> target_names();

/// Throws Error that lists the names known.
const Target& find_target(std::string_view name);

}  // namespace snug
