#include "recipe/format_names.hpp"

#include <algorithm>
#include <cctype>

namespace snug {
namespace {

/// What formats() leaves out: a test holds that no id of block_shape() is forgotten.
constexpr FormatId kOnlyCopied[] = {FormatId::i8, FormatId::i16, FormatId::i32, FormatId::i64, FormatId::f64};

}  // namespace

bool same_letters(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return std::tolower(static_cast<unsigned char>(c)); };
  return std::ranges::equal(a, b, {}, lower, lower);
}

std::optional<FormatId> format_of_name(std::string_view name) {
  if (const Format* format = find_format(name)) return format->id;
  for (const FormatId id : kOnlyCopied)
    if (same_letters(name, format_name(id))) return id;
  return std::nullopt;
}

}  // namespace snug
