#include "hf/tokenizer/split_pattern.hpp"

#include <algorithm>
#include <vector>

#include "base/str.hpp"

namespace snug::hf {
namespace {

using Parts = std::vector<std::string>;

constexpr const char* kAnyCase = "<any-case contraction>";
constexpr const char* kLowerCase = "<contraction>";

/// Where the group or class that begins at `at` ends, or the one character there: the index behind it. An
/// escape counts as one, \p{...} as a whole.
size_t item_end(std::string_view text, size_t at) {
  if (text[at] != '\\' || at + 1 >= text.size()) return at + 1;
  const bool braces = text.substr(at + 2).starts_with('{') &&
                      (text[at + 1] == 'p' || text[at + 1] == 'P' || text[at + 1] == 'x');
  if (!braces) return at + 2;
  const size_t close = text.find('}', at);
  return close == text.npos ? text.size() : close + 1;
}

/// Behind the ] of the class that begins at `at`.
size_t class_end(std::string_view text, size_t at) {
  size_t i = at + 1;
  if (i < text.size() && text[i] == '^') ++i;
  for (bool first = true; i < text.size() && (first || text[i] != ']'); first = false) i = item_end(text, i);
  return std::min(i + 1, text.size());
}

/// Behind the next whole thing at `at`: a character, an escape, a class or a group.
size_t unit_end(std::string_view text, size_t at) {
  if (text[at] == '[') return class_end(text, at);
  if (text[at] != '(') return item_end(text, at);
  for (++at; at < text.size() && text[at] != ')';) at = unit_end(text, at);
  return std::min(at + 1, text.size());
}

Parts alternatives_of(std::string_view text) {
  Parts parts{""};
  for (size_t at = 0; at < text.size();) {
    const size_t end = unit_end(text, at);
    if (text[at] == '|')
      parts.emplace_back();
    else
      parts.back() += text.substr(at, end - at);
    at = end;
  }
  return parts;
}

std::string joined(const Parts& parts) {
  std::string out;
  for (size_t i = 0; i < parts.size(); ++i) out += (i ? "|" : "") + parts[i];
  return out;
}

bool same_set(Parts a, Parts b) {
  std::ranges::sort(a);
  std::ranges::sort(b);
  return a == b;
}

const Parts kContractions{"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"};
const Parts kBothCases{"'[sS]", "'[tT]", "'[rR][eE]", "'[vV][eE]", "'[mM]", "'[lL][lL]", "'[dD]"};

/// A range or a single member: a-z, \p{L}, x.
std::string class_member(std::string_view text, size_t& at) {
  size_t end = item_end(text, at);
  if (end + 1 < text.size() && text[end] == '-') end = item_end(text, end + 1);
  std::string member{text.substr(at, end - at)};
  at = end;
  constexpr std::string_view needless = "!\"#$%&'()*+,./:;<=>?@_`{|}~";
  if (member.size() == 2 && member[0] == '\\' && needless.find(member[1]) != needless.npos)
    member.erase(0, 1);
  return member;
}

std::string canonical_class(std::string_view text) {
  std::string_view inside = text.substr(1, text.size() - 2);
  std::string out{"["};
  if (inside.starts_with('^')) {
    out += '^';
    inside.remove_prefix(1);
  }
  Parts members;
  for (size_t at = 0; at < inside.size();) members.push_back(class_member(inside, at));
  std::ranges::sort(members);
  for (const std::string& member : members) out += member;
  return out + "]";
}

std::string canonical_group(std::string_view text);

bool is_quantifier(std::string_view unit) {
  return unit == "+" || unit == "*" || unit == "?" || unit == "}";  // the end of {1,3}
}

/// `text` unit by unit, without possessive signs behind quantifiers.
std::string canonical_sequence(std::string_view text) {
  std::string out;
  std::string_view before;
  for (size_t at = 0; at < text.size();) {
    const size_t end = unit_end(text, at);
    const std::string_view unit = text.substr(at, end - at);
    if (unit.starts_with('[') && unit.size() > 2)
      out += canonical_class(unit);
    else if (unit.starts_with('(') && unit.size() > 2)
      out += canonical_group(unit);
    else if (unit != "+" || !is_quantifier(before))
      out += unit;
    before = unit;
    at = end;
  }
  return out;
}

std::string canonical_alternatives(std::string_view text) {
  Parts parts = alternatives_of(text);
  for (std::string& part : parts) part = canonical_sequence(part);
  if (parts.size() > kContractions.size() &&
      same_set({parts.begin(), parts.begin() + static_cast<ptrdiff_t>(kContractions.size())},
               kContractions)) {
    parts.erase(parts.begin() + 1, parts.begin() + static_cast<ptrdiff_t>(kContractions.size()));
    parts.front() = kLowerCase;
  }
  return joined(parts);
}

std::string canonical_group(std::string_view text) {
  const size_t body = text.starts_with("(?i:") ? 4 : text.starts_with("(?:") ? 3 : 0;
  if (!body) return str("(", canonical_alternatives(text.substr(1, text.size() - 2)), ")");
  const std::string_view inside = text.substr(body, text.size() - body - 1);
  const Parts parts = alternatives_of(inside);
  if (body == 4 && same_set(parts, kContractions)) return kAnyCase;
  if (body == 3 && same_set(parts, kBothCases)) return kAnyCase;
  if (body == 3 && same_set(parts, kContractions)) return kLowerCase;
  return str(text.substr(0, body), canonical_alternatives(inside), ")");
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (size_t at = 0; (at = text.find(from, at)) != text.npos; at += to.size())
    text.replace(at, from.size(), to);
}

/// The apostrophe may stand before the group.
std::string with_short_contractions(std::string text) {
  replace_all(text, "'(?i:[dmst]|ll|ve|re)", kAnyCase);
  replace_all(text, "'(?:[dmst]|ll|ve|re)", kLowerCase);
  return text;
}

}  // namespace

std::string with_escaped_controls(std::string_view pattern) {
  std::string out;
  for (const char c : pattern) {
    if (c == '\r')
      out += "\\r";
    else if (c == '\n')
      out += "\\n";
    else if (c == '\t')
      out += "\\t";
    else
      out += c;
  }
  return out;
}

std::string canonical_split_pattern(std::string_view written) {
  const std::string escaped = with_escaped_controls(written);
  std::string_view pattern = escaped;
  const bool wrapped = (pattern.starts_with("(?:") || pattern.starts_with('(')) &&
                       !pattern.starts_with("(?i") && !pattern.starts_with("(?=") &&
                       unit_end(pattern, 0) == pattern.size();
  if (wrapped) {
    const size_t body = pattern.starts_with("(?:") ? 3 : 1;
    pattern = pattern.substr(body, pattern.size() - body - 1);
  }
  return with_short_contractions(canonical_alternatives(pattern));
}

}  // namespace snug::hf
