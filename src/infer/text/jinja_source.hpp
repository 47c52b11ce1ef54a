#pragma once

#include <string>
#include <string_view>

namespace snug::infer {

/// A template's source, with the same meaning, without what minja reads otherwise than Jinja: line ends become
/// "\n"; blanks between the start of a line and a statement or comment go (lstrip_blocks), those before an
/// expression stay; characters that strings name by number stand there themselves. Lines keep their numbers.
std::string plain_jinja(std::string_view source);

}  // namespace snug::infer
