#pragma once

#include <string>

#include "snug/profile.hpp"

namespace snug {

/// JSON in and out; schema in docs/recipe.md. parse_profile throws Error that names the field and what was expected.
std::string to_json(const Profile& profile);
Profile parse_profile(const std::string& json, const std::string& where);

}  // namespace snug
