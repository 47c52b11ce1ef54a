#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace snug::infer {

/// Byte-level vocabularies write every byte as a printable character (GPT-2's rule): those of ASCII and
/// Latin-1 that print stand for themselves, the other 68 are U+0100 and up, in order.
const std::array<std::string, 256>& printable_bytes();

/// The bytes that `text` stands for; characters that stand for none are kept.
std::string bytes_of_printable(std::string_view text);

}  // namespace snug::infer
