#pragma once

#include <string>
#include <string_view>

namespace snug::hf {

/// One spelling for regular expressions that split words alike: the members of a character class in order,
/// the contractions of English ('s, 't, 're ...) under one name however they are written, no possessive
/// signs, no group around the whole. Only for comparing expressions with each other; not itself an
/// expression.
std::string canonical_split_pattern(std::string_view pattern);

/// Line ends and tabs as escapes: expressions have them in either form.
std::string with_escaped_controls(std::string_view pattern);

}  // namespace snug::hf
