#pragma once

#include <string_view>

namespace snug {

/// About 66 KB of UTF-8 that come with the program: prose in twelve languages, code in as many, mathematics, tables,
/// letters and conversations, all kinds in every fifth of it. Written for this purpose; no model was trained on it.
std::string_view built_in_text();

}  // namespace snug
