#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "snug/format.hpp"

namespace snug {

/// The tensor type of that name, case-insensitive: those that are only copied (i32, ...) included, unlike
/// find_format.
std::optional<FormatId> format_of_name(std::string_view name);

/// All that can be encoded and decoded.
std::vector<std::string_view> all_format_names();

/// Equal but for the case of ASCII letters.
bool same_letters(std::string_view a, std::string_view b);

}  // namespace snug
