#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "snug/format.hpp"

namespace snug {

/// Where a small number lies in a block: `width` bits from bit `at` on, counted from the block's first byte,
/// little-endian. Nothing where width is 0.
struct BitField {
  uint16_t at = 0;
  uint8_t width = 0;
};

/// A number kept in two places, the low bits first, and as this much more than it is, modulo the places' width.
struct CodePlace {
  BitField low, high;
  uint8_t offset = 0;
};

uint32_t get_code(const std::byte* block, const CodePlace& place);
void put_code(std::byte* block, const CodePlace& place, uint32_t code);

/// How the codes of a format's blocks may be changed while the scales stay as they are.
///
/// Scalar formats: weight i has a code of its own. Where `table` is null, y = a c + b, with a and b of the
/// sub-block; otherwise y = a table[c].
/// Codebook formats: eight weights from 8 g on have one entry of eight values or two of four, y = a s v + b:
/// s their signs, b (iq1) a sub-block's shift.
struct BlockCodes {
  enum class Signs : uint8_t {
    none,   // the entries are signed
    bytes,  // bit k: weight k is negated
    even,   // seven bits; the eighth makes the number of negatives even
    shift,  // none, but one bit that turns b around (iq1_m)
  };

  FormatId format{};
  BlockShape shape;
  // scalar
  int levels = 0;
  const float* table = nullptr;
  uint32_t unit_code = 0;  // table[unit_code] is 1
  // codebook
  int entries = 0, dimensions = 0;
  const uint8_t* values = nullptr;  // [entries][dimensions]; of iq1 offset by one
  Signs signs = Signs::none;

  std::array<CodePlace, 256> codes{};  // scalar: of weight i; codebook: of entry i
  std::array<CodePlace, 32> sign{};    // codebook: of group g

  bool is_codebook() const { return entries > 0; }
};

/// Null for formats without codes (f32, f16, bf16) and tq1_0, whose codes share bytes as digits do.
const BlockCodes* block_codes(FormatId format);

}  // namespace snug
