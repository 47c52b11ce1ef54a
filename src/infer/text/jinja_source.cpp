#include "infer/text/jinja_source.hpp"

#include <algorithm>
#include <charconv>
#include <cstdint>

#include "infer/tokenizer/utf8.hpp"

namespace snug::infer {
namespace {

std::string with_plain_line_ends(std::string_view source) {
  std::string out;
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r')
      out += source[i];
    else if (source.substr(i, 2) != "\r\n")
      out += '\n';
  }
  return out;
}

/// Where the next {{, {% or {# begins; the text's size where none does.
size_t next_tag(std::string_view text, size_t from) {
  for (size_t at = from; (at = text.find('{', at)) != text.npos; ++at)
    if (at + 1 < text.size() && std::string_view{"{%#"}.find(text[at + 1]) != std::string_view::npos)
      return at;
  return text.size();
}

bool is_character(uint32_t code) {
  return code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF);
}

size_t hex_digits_behind(char kind) {
  return kind == 'x' ? 2 : kind == 'u' ? 4 : kind == 'U' ? 8 : 0;
}

/// Each of these copies what begins at `at` and says where it ends. \xHH, \uHHHH and \UHHHHHHHH become the
/// character they mean.
size_t copy_escape(std::string& out, std::string_view text, size_t at) {
  const size_t digits = at + 1 < text.size() ? hex_digits_behind(text[at + 1]) : 0;
  const std::string_view number = text.substr(std::min(at + 2, text.size()), digits);
  const char* const end = number.data() + number.size();
  uint32_t code = 0;
  const bool whole = std::from_chars(number.data(), end, code, 16).ptr == end && number.size() == digits;
  if (digits == 0 || !whole || !is_character(code)) {
    out += text.substr(at, 2);
    return std::min(at + 2, text.size());
  }
  if (code == '\'' || code == '"' || code == '\\') out += '\\';
  append_utf8(out, code);
  return at + 2 + digits;
}

size_t copy_string(std::string& out, std::string_view text, size_t at) {
  const char quote = text[at];
  out += text[at++];
  while (at < text.size() && text[at] != quote) {
    if (text[at] == '\\')
      at = copy_escape(out, text, at);
    else
      out += text[at++];
  }
  if (at < text.size()) out += text[at++];
  return at;
}

/// The end of a tag within a string is none.
size_t copy_tag(std::string& out, std::string_view text, size_t at) {
  const char kind = text[at + 1];
  const char closing[] = {kind == '{' ? '}' : kind, '}', '\0'};
  out += text.substr(at, 2);
  for (at += 2; at < text.size() && text.substr(at, 2) != closing;) {
    if (kind != '#' && (text[at] == '"' || text[at] == '\''))
      at = copy_string(out, text, at);
    else
      out += text[at++];
  }
  out += text.substr(at, 2);
  return std::min(at + 2, text.size());
}

/// Drops the blanks at the end of `text` where nothing else is in its last line.
void drop_indent(std::string& text) {
  const size_t last = text.find_last_not_of(" \t");
  if (last == text.npos || text[last] == '\n') text.resize(last + 1);
}

}  // namespace

std::string plain_jinja(std::string_view source) {
  const std::string text = with_plain_line_ends(source);
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const size_t tag = next_tag(text, at);
    out.append(text, at, tag - at);
    if (tag == text.size()) break;
    if (text[tag + 1] != '{') drop_indent(out);
    at = copy_tag(out, text, tag);
  }
  return out;
}

}  // namespace snug::infer
