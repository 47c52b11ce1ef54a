#pragma once

#include <cstddef>
#include <cstdint>

#include "snug/format.hpp"

// Where the codes and scales of a packed block lie, for code that changes them after encoding: error feedback,
// gain correction, and the search for the least error an encoder can reach. Each block of blocks.hpp has fields().

namespace snug {

/// Where a small number lies in a block: `width` bits from bit `at` on, counted from the block's first byte,
/// little-endian. Nothing where width is 0.
struct BitField {
  uint16_t at = 0;
  uint8_t width = 0;
};

constexpr BitField field(size_t byte, int bit, int width) {
  return {static_cast<uint16_t>(8 * byte + static_cast<size_t>(bit)), static_cast<uint8_t>(width)};
}

/// A number kept in two places, the low bits first, and as this much more than it is, modulo the places' width.
struct CodePlace {
  BitField low, high;
  uint8_t offset = 0;
};

/// A 16-bit float in up to four places, the low bits first.
struct ScalePlace {
  BitField parts[4] = {};

  constexpr bool exists() const { return parts[0].width > 0; }
};

constexpr ScalePlace scale_at(size_t byte) {
  return {{field(byte, 0, 16)}};
}

/// What the places of BlockFields::scales hold.
enum class ScaleType : uint8_t { f16, bf16 };

/// The one scale that `weights` weights share, where nothing else but their codes decides what they decode to:
/// `bytes` bytes from byte `at` on. Nothing where bytes is 0.
struct LoneScale {
  uint16_t at = 0, bytes = 0, weights = 0;
};

/// Scalar formats: weight i has a code of its own. Where `table` is null, y = a c + b, with a and b of the
/// sub-block; otherwise y = a table[c].
/// Codebook formats: eight weights from 8 g on have one entry of eight values or two of four, y = a s v + b:
/// s their signs, b (iq1) a sub-block's shift.
struct BlockFields {
  enum class Signs : uint8_t {
    none,   // the entries are signed
    bytes,  // bit k: weight k is negated
    even,   // seven bits; the eighth makes the number of negatives even
    shift,  // none, but one bit that turns b around (iq1_m)
  };

  ScalePlace scales[2] = {};  // multiplying these multiplies every weight; none where no such numbers are stored
  ScaleType scale_type = ScaleType::f16;
  LoneScale lone_scale{};

  CodePlace (*code)(int i) = nullptr;  // scalar: of weight i; codebook: of entry i; null: codes cannot be changed
  // scalar
  int levels = 0;
  const float* table = nullptr;
  uint32_t unit_code = 0;  // table[unit_code] is 1
  // codebook
  int entries = 0, dimensions = 0;
  const uint8_t* values = nullptr;  // [entries][dimensions]; of iq1 offset by one
  Signs signs = Signs::none;
  CodePlace (*sign)(int group) = nullptr;
};

/// Of a format in all_formats(); nullptr for any other.
const BlockFields* find_block_fields(FormatId format);

/// Nibbles of `half` bytes from `byte` on: code j low, code j + half high.
constexpr CodePlace nibble_place(size_t byte, int i, int half) {
  const int group = i / (2 * half), j = i % (2 * half);
  return {field(byte + static_cast<size_t>(group * half + j % half), j / half * 4, 4), {}};
}

/// Code i of a plane of 2-bit codes (blocks_k.hpp) from `byte` on.
constexpr BitField q2_plane_place(size_t byte, int i) {
  return field(byte + static_cast<size_t>(i / 128 * 32 + i % 32), i % 128 / 32 * 2, 2);
}

}  // namespace snug
