#include "quant/feedback/block_codes.hpp"

#include <map>

namespace snug {
namespace {

BlockCodes look_up(const Format& format, const BlockFields& fields) {
  BlockCodes out{.format = format.id, .shape = block_shape(format.id)};
  out.levels = fields.levels;
  out.table = fields.table;
  out.unit_code = fields.unit_code;
  out.entries = fields.entries;
  out.dimensions = fields.dimensions;
  out.values = fields.values;
  out.signs = fields.signs;
  const int per_code = out.is_codebook() ? fields.dimensions : 1;
  for (int i = 0; i < static_cast<int>(format.block_weights) / per_code; ++i)
    out.codes[static_cast<size_t>(i)] = fields.code(i);
  for (int g = 0; fields.sign && g < static_cast<int>(format.block_weights) / 8; ++g)
    out.sign[static_cast<size_t>(g)] = fields.sign(g);
  return out;
}

std::map<FormatId, BlockCodes> make_all() {
  std::map<FormatId, BlockCodes> all;
  for (const Format& format : all_formats())
    if (const BlockFields* fields = find_block_fields(format.id); fields->code)
      all.emplace(format.id, look_up(format, *fields));
  return all;
}

}  // namespace

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
