#include "recipe/format_names.hpp"

#include <algorithm>
#include <cctype>

namespace snug {
bool same_letters(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return std::tolower(static_cast<unsigned char>(c)); };
  return std::ranges::equal(a, b, {}, lower, lower);
}

std::vector<std::string_view> all_format_names() {
  std::vector<std::string_view> names;
  for (const Format& format : all_formats()) names.push_back(format.name);
  return names;
}

std::optional<FormatId> format_of_name(std::string_view name) {
  return find_tensor_type(name);
}

}  // namespace snug
