#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace snug::cli {

/// Characters a UTF-8 text takes on a line.
size_t characters(std::string_view text);

/// Broken between words into lines of at most `width` characters, as far as words allow. Line ends in the
/// text stay. Every line but the first begins with `indent` spaces; `start` columns of the first are taken
/// already.
std::string wrapped(std::string_view text, size_t width, size_t indent = 0, size_t start = 0);

/// Lines longer than `width` are cut at spaces, what goes on begins with `indent` spaces; the others stay as they are.
/// A width of 0 cuts nothing.
std::string folded(std::string_view text, size_t width, size_t indent);

/// A command for a shell: broken before words, outside quotes, with a backslash at the end of each line that
/// goes on.
std::string wrapped_command(std::string_view command, size_t width, size_t indent, size_t start = 0);

}  // namespace snug::cli
