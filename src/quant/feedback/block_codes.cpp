#include "quant/feedback/block_codes.hpp"

#include <map>
#include <vector>

#include "quant/blocks.hpp"
#include "quant/codebooks/codebooks.hpp"

// Where every code lies is written down beside the packed structs in blocks.hpp; here it is again as numbers.

namespace snug {
namespace {

using Signs = BlockCodes::Signs;

constexpr BitField field(int byte, int bit, int width) {
  return {static_cast<uint16_t>(8 * byte + bit), static_cast<uint8_t>(width)};
}

uint32_t get_bits(const std::byte* block, BitField f) {
  uint32_t value = 0;
  const int first = f.at / 8, last = (f.at + f.width - 1) / 8;
  for (int b = last; b >= first; --b) value = value << 8 | std::to_integer<uint32_t>(block[b]);
  return value >> f.at % 8 & ((1u << f.width) - 1);
}

void put_bits(std::byte* block, BitField f, uint32_t code) {
  const uint32_t mask = ((1u << f.width) - 1) << f.at % 8, bits = code << f.at % 8;
  const int first = f.at / 8, last = (f.at + f.width - 1) / 8;
  for (int b = first; b <= last; ++b) {
    const int shift = 8 * (b - first);
    const auto keep = static_cast<std::byte>(~(mask >> shift) & 255),
               set = static_cast<std::byte>((bits & mask) >> shift & 255);
    block[b] = (block[b] & keep) | set;
  }
}

/// Nibbles of `half` bytes from `byte` on: code j low, code j + half high.
CodePlace nibble(int byte, int i, int half) {
  const int group = i / (2 * half), j = i % (2 * half);
  return {field(byte + group * half + j % half, j / half * 4, 4), {}};
}

BitField q2_plane(int byte, int i) {
  return field(byte + i / 128 * 32 + i % 32, i % 128 / 32 * 2, 2);
}

/// The place of weight i of a scalar format.
CodePlace scalar_place(FormatId id, int i) {
  switch (id) {
    case FormatId::q4_0:
    case FormatId::iq4_nl:
      return nibble(2, i, 16);
    case FormatId::q4_1:
      return nibble(4, i, 16);
    case FormatId::q5_0:
      return {nibble(6, i, 16).low, field(2, i, 1)};
    case FormatId::q5_1:
      return {nibble(8, i, 16).low, field(4, i, 1)};
    case FormatId::mxfp4:
      return nibble(1, i, 16);
    case FormatId::nvfp4:
      return nibble(4, i, 8);
    case FormatId::q1_0:
      return {field(2, i, 1), {}};
    case FormatId::q2_0:
      return {field(2, 2 * i, 2), {}};
    case FormatId::q2_K:
      return {q2_plane(16, i), {}};
    case FormatId::tq2_0:
      return {q2_plane(0, i), {}};
    case FormatId::q3_K:
      return {q2_plane(32, i), field(i % 32, i / 32, 1)};
    case FormatId::q4_K:
      return nibble(16, i, 32);
    case FormatId::q5_K:
      return {nibble(48, i, 32).low, field(16 + i % 32, i / 32, 1)};
    case FormatId::q6_K: {
      const int half = i / 128, quarter = i % 128 / 32, l = i % 32;
      return {field(64 * half + quarter % 2 * 32 + l, quarter / 2 * 4, 4),
              field(128 + 32 * half + l, 2 * quarter, 2)};
    }
    case FormatId::iq4_xs:
      return nibble(8, i, 16);
    case FormatId::q8_0:
      return {field(2 + i, 0, 8), {}, 256 - 127};  // code 0 is -127
    default:
      return {};
  }
}

struct Scalar {
  FormatId id;
  int levels;
  const float* table;
};

constexpr Scalar kScalars[] = {
    {FormatId::q4_0, 16, nullptr}, {FormatId::q4_1, 16, nullptr}, {FormatId::q5_0, 32, nullptr},
    {FormatId::q5_1, 32, nullptr}, {FormatId::q1_0, 2, nullptr},  {FormatId::q2_0, 4, nullptr},
    {FormatId::q2_K, 4, nullptr},  {FormatId::q3_K, 8, nullptr},  {FormatId::q4_K, 16, nullptr},
    {FormatId::q5_K, 32, nullptr}, {FormatId::q6_K, 64, nullptr}, {FormatId::tq2_0, 3, nullptr},
    {FormatId::iq4_nl, 16, kIq4},  {FormatId::iq4_xs, 16, kIq4},  {FormatId::mxfp4, 16, kFp4},
    {FormatId::nvfp4, 16, kFp4},   {FormatId::q8_0, 255, nullptr},
};

/// The place of entry i; two a group where entries have four values.
CodePlace entry_place(FormatId id, int i) {
  switch (id) {
    case FormatId::iq2_xxs:
      return {field(2 + 8 * (i / 4) + i % 4, 0, 8), {}};
    case FormatId::iq2_xs:
      return {field(2 + 2 * i, 0, 9), {}};
    case FormatId::iq2_s:
      return {field(2 + i, 0, 8), field(66 + i / 4, i % 4 * 2, 2)};
    case FormatId::iq3_xxs:
      return {field(2 + i, 0, 8), {}};
    case FormatId::iq3_s:
      return {field(2 + i, 0, 8), field(66 + i / 8, i % 8, 1)};
    case FormatId::iq1_s:
      return {field(2 + i, 0, 8), field(34 + i / 4 * 2, i % 4 * 3, 3)};
    case FormatId::iq1_m:
      return {field(i, 0, 8), field(32 + i / 2, i % 2 * 4, 3)};
    default:
      return {};
  }
}

CodePlace sign_place(FormatId id, int g) {
  switch (id) {
    case FormatId::iq2_xxs:
      return {field(2 + 8 * (g / 4) + 4, g % 4 * 7, 7), {}};
    case FormatId::iq2_xs:
      return {field(2 + 2 * g, 9, 7), {}};
    case FormatId::iq2_s:
      return {field(34 + g, 0, 8), {}};
    case FormatId::iq3_xxs:
      return {field(66 + g / 4 * 4, g % 4 * 7, 7), {}};
    case FormatId::iq3_s:
      return {field(74 + g, 0, 8), {}};
    case FormatId::iq1_m:
      return {field(32 + g / 2, g % 2 * 4 + 3, 1), {}};
    default:
      return {};
  }
}

struct Codebook {
  FormatId id;
  int entries, dimensions;
  const uint8_t* values;
  Signs signs;
};

/// kIq1Grid with one added to every value: 0, 1, 2.
const uint8_t* iq1_values() {
  static const std::vector<uint8_t> values = [] {
    std::vector<uint8_t> out;
    for (const auto& entry : kIq1Grid.at)
      for (const int8_t v : entry) out.push_back(static_cast<uint8_t>(v + 1));
    return out;
  }();
  return values.data();
}

std::map<FormatId, BlockCodes> make_all() {
  std::map<FormatId, BlockCodes> all;
  for (const Scalar& s : kScalars) {
    BlockCodes& to = all[s.id];
    to.format = s.id;
    to.shape = block_shape(s.id);
    to.levels = s.levels;
    to.table = s.table;
    to.unit_code = s.table == kIq4 ? 8 : 1;
    for (int i = 0; i < static_cast<int>(to.shape.block_weights); ++i)
      to.codes[static_cast<size_t>(i)] = scalar_place(s.id, i);
  }
  const Codebook books[] = {
      {FormatId::iq2_xxs, 256, 8, kIq2XxsGrid.at[0], Signs::even},
      {FormatId::iq2_xs, 512, 8, kIq2XsGrid.at[0], Signs::even},
      {FormatId::iq2_s, 1024, 8, kIq2SGrid.at[0], Signs::bytes},
      {FormatId::iq3_xxs, 256, 4, kIq3XxsGrid.at[0], Signs::even},
      {FormatId::iq3_s, 512, 4, kIq3SGrid.at[0], Signs::bytes},
      {FormatId::iq1_s, 2048, 8, iq1_values(), Signs::none},
      {FormatId::iq1_m, 2048, 8, iq1_values(), Signs::shift},
  };
  for (const Codebook& b : books) {
    BlockCodes& to = all[b.id];
    to.format = b.id;
    to.shape = block_shape(b.id);
    to.entries = b.entries;
    to.dimensions = b.dimensions;
    to.values = b.values;
    to.signs = b.signs;
    for (int i = 0; i < kSuperBlock / b.dimensions; ++i)
      to.codes[static_cast<size_t>(i)] = entry_place(b.id, i);
    for (int g = 0; g < 32; ++g) to.sign[static_cast<size_t>(g)] = sign_place(b.id, g);
  }
  return all;
}

}  // namespace

uint32_t get_code(const std::byte* block, const CodePlace& place) {
  uint32_t stored = get_bits(block, place.low);
  if (place.high.width) stored |= get_bits(block, place.high) << place.low.width;
  return (stored - place.offset) & ((1u << (place.low.width + place.high.width)) - 1);
}

void put_code(std::byte* block, const CodePlace& place, uint32_t code) {
  const uint32_t stored = code + place.offset;
  put_bits(block, place.low, stored);
  if (place.high.width) put_bits(block, place.high, stored >> place.low.width);
}

const BlockCodes* block_codes(FormatId format) {
  static const std::map<FormatId, BlockCodes> all = make_all();
  const auto found = all.find(format);
  return found == all.end() ? nullptr : &found->second;
}

}  // namespace snug
