#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace snug::infer {

inline constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD
inline constexpr std::string_view kSpaceMark = "\xE2\x96\x81";    // U+2581, a blank in SentencePiece texts

/// Length of the character at text[at] going by its lead byte alone: nothing is validated, stray bytes count
/// as characters, the end of the text cuts the last one.
inline size_t char_length(std::string_view text, size_t at) {
  constexpr std::array<uint8_t, 16> by_nibble{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 3, 4};
  return std::min<size_t>(by_nibble[static_cast<uint8_t>(text[at]) >> 4], text.size() - at);
}

struct CodePoint {
  char32_t value = 0xFFFD;
  size_t bytes = 1;
  bool valid = false;
};

/// The character at text[at]. Overlong forms and surrogates pass, as they do in llama.cpp; a byte that begins
/// nothing, and what lies beyond U+10FFFF, is one invalid byte.
CodePoint decode_utf8(std::string_view text, size_t at);

void append_utf8(std::string& text, char32_t code_point);

/// text with every blank as U+2581.
std::string with_space_marks(std::string_view text);
/// text with every U+2581 as a blank.
std::string without_space_marks(std::string_view text);

/// How many bytes at the end of text begin a character (strict UTF-8) that is not complete yet: 0 to 3.
size_t unfinished_tail(std::string_view text);

/// Strict UTF-8: whatever is not, becomes U+FFFD, one for each maximal piece of a character.
std::string valid_utf8(std::string_view text);

}  // namespace snug::infer
