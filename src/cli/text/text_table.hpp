#pragma once

#include <cstddef>
#include <string>

namespace snug::cli {

/// Text in columns. Widths count bytes: for names and numbers, not for prose.
std::string right(std::string text, size_t width);
std::string left(std::string text, size_t width);

}  // namespace snug::cli
