#pragma once

#include <string>
#include <string_view>

namespace snug {

/// Text from a file made safe to show on a terminal: control characters, and bytes that are not UTF-8, become
/// \xNN; long text is cut. Never fails.
std::string printable(std::string_view text);

bool is_utf8(std::string_view text);

}  // namespace snug
