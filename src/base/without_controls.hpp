#pragma once

#include <string>
#include <string_view>

namespace snug {

/// `text` with \x1b and the like in place of control characters, for names out of files that nobody vouches
/// for: a terminal obeys them. Line ends stay.
inline std::string without_controls(std::string_view text) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string shown;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte >= 0x20 && byte != 0x7f) || c == '\n') {
      shown += c;
    } else {
      shown += "\\x";
      shown += digits[byte >> 4];
      shown += digits[byte & 15];
    }
  }
  return shown;
}

}  // namespace snug
