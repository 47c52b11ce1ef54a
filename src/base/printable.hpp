#pragma once

#include <string>
#include <string_view>

namespace snug {

/// Text from a file made safe to show on a terminal: control characters, and bytes that are not UTF-8, become
/// \xNN; long text is cut. Never fails.
std::string printable(std::string_view text);

bool is_utf8(std::string_view text);
/// Text of any length for a terminal: line ends and tabs stay, every other control character (escape sequences begin
/// with one) and what is not UTF-8 becomes \xNN. A terminal obeys them otherwise.
std::string terminal_text(std::string_view text);

}  // namespace snug
