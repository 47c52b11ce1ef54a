#include "recipe/format_names.hpp"

#include <algorithm>
#include <cctype>

namespace snug {
namespace {

constexpr uint32_t kLastId = static_cast<uint32_t>(FormatId::q2_0);

}  // namespace

bool same_letters(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return std::tolower(static_cast<unsigned char>(c)); };
  return std::ranges::equal(a, b, {}, lower, lower);
}

std::optional<FormatId> format_of_name(std::string_view name) {
  for (uint32_t id = 0; id <= kLastId; ++id)
    if (block_shape(FormatId{id}).block_weights > 0 && same_letters(name, format_name(FormatId{id})))
      return FormatId{id};
  return std::nullopt;
}

}  // namespace snug
