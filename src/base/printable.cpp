#include "base/printable.hpp"

#include <cstdint>

namespace snug {
namespace {

constexpr size_t kLongest = 160;

/// Bytes of the UTF-8 character at the front of `text`; 0 if it is none: an overlong form, a surrogate, a
/// number past the last.
size_t utf8_length(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t first = byte(0);
  if (first < 0x80) return 1;
  const size_t length = first >= 0xf5 ? 0 : first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc2 ? 2 : 0;
  if (length == 0 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i)
    if ((byte(i) & 0xc0) != 0x80) return 0;
  const bool overlong = (first == 0xe0 && byte(1) < 0xa0) || (first == 0xf0 && byte(1) < 0x90);
  const bool no_character = (first == 0xed && byte(1) >= 0xa0) || (first == 0xf4 && byte(1) >= 0x90);
  return overlong || no_character ? 0 : length;
}

/// The same; 0 for a control character, too.
size_t shown_length(std::string_view text) {
  const auto first = static_cast<uint8_t>(text[0]);
  if (first < 0x80) return first >= 0x20 && first != 0x7f;
  const size_t length = utf8_length(text);
  const bool c1_control = length == 2 && first == 0xc2 && static_cast<uint8_t>(text[1]) < 0xa0;
  return c1_control ? 0 : length;
}

void append_escaped(std::string& shown, char c) {
  constexpr std::string_view digits = "0123456789abcdef";
  const auto byte = static_cast<uint8_t>(c);
  shown += "\\x";
  shown += digits[byte >> 4];
  shown += digits[byte & 15];
}

}  // namespace

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const size_t length = utf8_length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

std::string printable(std::string_view text) {
  std::string shown;
  while (!text.empty() && shown.size() < kLongest) {
    const size_t length = text[0] == '\\' ? 0 : shown_length(text);
    if (length > 0)
      shown += text.substr(0, length);
    else
      append_escaped(shown, text[0]);
    text.remove_prefix(length > 0 ? length : 1);
  }
  return text.empty() ? shown : shown + "...";
}

std::string terminal_text(std::string_view text) {
  std::string shown;
  while (!text.empty()) {
    const size_t length = text[0] == '\n' || text[0] == '\t' ? 1 : shown_length(text);
    if (length > 0)
      shown += text.substr(0, length);
    else
      append_escaped(shown, text[0]);
    text.remove_prefix(length > 0 ? length : 1);
  }
  return shown;
}

}  // namespace snug
