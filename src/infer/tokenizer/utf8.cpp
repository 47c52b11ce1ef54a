#include "infer/tokenizer/utf8.hpp"

namespace snug::infer {
namespace {

uint8_t byte_at(std::string_view text, size_t at) {
  return static_cast<uint8_t>(text[at]);
}

bool continues(std::string_view text, size_t at) {
  return at < text.size() && (byte_at(text, at) & 0xC0) == 0x80;
}

std::string replaced(std::string_view text, std::string_view from, std::string_view to) {
  std::string out;
  out.reserve(text.size() + text.size() / 4);
  size_t done = 0;
  for (size_t hit; (hit = text.find(from, done)) != text.npos; done = hit + from.size())
    out.append(text.substr(done, hit - done)).append(to);
  return out.append(text.substr(done));
}

/// Bytes of the strict UTF-8 character that text[at] begins; 0 if it begins none.
size_t strict_length(uint8_t lead) {
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) return 2;
  if (lead >= 0xE0 && lead <= 0xEF) return 3;
  if (lead >= 0xF0 && lead <= 0xF4) return 4;
  return 0;
}

/// The second byte decides on overlong forms, surrogates and the upper end (Unicode, table 3-7).
bool second_fits(uint8_t lead, uint8_t second) {
  const uint8_t least = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const uint8_t most = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  return second >= least && second <= most;
}

/// How many bytes from `at` on are a well-formed beginning of a character, up to its full length.
size_t well_formed(std::string_view text, size_t at, size_t length) {
  size_t n = 1;
  if (n < length && at + n < text.size() && second_fits(byte_at(text, at), byte_at(text, at + n)))
    for (n = 2; n < length && continues(text, at + n);) ++n;
  return n;
}

}  // namespace

CodePoint decode_utf8(std::string_view text, size_t at) {
  const uint8_t lead = byte_at(text, at);
  if (lead < 0x80) return {lead, 1, true};
  const size_t bytes = lead < 0xC0 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF8 ? 4 : 0;
  if (!bytes) return {};
  char32_t value = lead & (0xFFu >> (bytes + 1));
  for (size_t i = 1; i < bytes; ++i) {
    if (!continues(text, at + i)) return {};
    value = value << 6 | (byte_at(text, at + i) & 0x3Fu);
  }
  if (value > 0x10FFFF) return {};
  return {value, bytes, true};
}

void append_utf8(std::string& text, char32_t c) {
  const auto put = [&](char32_t byte) { text.push_back(static_cast<char>(byte)); };
  if (c < 0x80) return put(c);
  if (c < 0x800) {
    put(0xC0 | c >> 6);
  } else {
    if (c < 0x10000) {
      put(0xE0 | c >> 12);
    } else {
      put(0xF0 | c >> 18);
      put(0x80 | (c >> 12 & 0x3F));
    }
    put(0x80 | (c >> 6 & 0x3F));
  }
  put(0x80 | (c & 0x3F));
}

std::string with_space_marks(std::string_view text) {
  return replaced(text, " ", kSpaceMark);
}
std::string without_space_marks(std::string_view text) {
  return replaced(text, kSpaceMark, " ");
}

size_t unfinished_tail(std::string_view text) {
  for (size_t back = 1; back <= std::min<size_t>(3, text.size()); ++back) {
    const size_t at = text.size() - back;
    if (continues(text, at)) continue;
    const size_t length = strict_length(byte_at(text, at));
    return length > back && well_formed(text, at, length) == back ? back : 0;
  }
  return 0;
}

std::string valid_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const size_t length = strict_length(byte_at(text, at));
    const size_t good = length ? well_formed(text, at, length) : 1;
    out.append(good == length ? text.substr(at, good) : kReplacement);
    at += good;
  }
  return out;
}

}  // namespace snug::infer
