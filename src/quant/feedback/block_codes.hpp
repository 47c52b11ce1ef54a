#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "quant/block_fields.hpp"
#include "snug/format.hpp"

namespace snug {

/// The number in `f`, and setting it.
uint32_t get_bits(const std::byte* block, BitField f);
void put_bits(std::byte* block, BitField f, uint32_t code);

uint32_t get_code(const std::byte* block, const CodePlace& place);
void put_code(std::byte* block, const CodePlace& place, uint32_t code);

/// BlockFields with every place looked up: how the codes of a format's blocks may be changed while the scales
/// stay as they are.
struct BlockCodes {
  using Signs = BlockFields::Signs;

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
