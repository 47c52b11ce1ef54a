#include "quant/lossless.hpp"

#include <cmath>
#include <cstring>

#include "base/half.hpp"
#include "quant/blocks_mlx.hpp"
#include "quant/feedback/block_codes.hpp"

namespace snug {
namespace {

/// y = d (code - offset), or d code + m where the block has both: scale d, bias -offset d or m.
struct Map {
  FormatId from, to;
  int offset;
};
constexpr Map kMaps[] = {
    {FormatId::q4_0, FormatId::mlx_q4_g32_f16, 8},  {FormatId::q4_1, FormatId::mlx_q4_g32_f16, 0},
    {FormatId::q5_0, FormatId::mlx_q5_g32_f16, 16}, {FormatId::q5_1, FormatId::mlx_q5_g32_f16, 0},
    {FormatId::q8_0, FormatId::mlx_q8_g32_f16, 128}, {FormatId::mxfp4, FormatId::mlx_mxfp4, 0},
};

const Map* find_map(FormatId from) {
  for (const Map& map : kMaps)
    if (map.from == from) return &map;
  return nullptr;
}

uint16_t u16_at(const std::byte* p) {
  uint16_t out;
  std::memcpy(&out, p, sizeof out);
  return out;
}

/// Scale and bias, which every one of these blocks begins with.
bool put_scale(const Map& map, const std::byte* block, std::byte* to) {
  const uint16_t d = u16_at(block);
  const float bias = map.offset ? -static_cast<float>(map.offset) * from_f16(d) : from_f16(u16_at(block + 2));
  const uint16_t stored = to_f16(bias);  // exact: a power of two times d
  std::memcpy(to, &d, sizeof d);
  std::memcpy(to + 2, &stored, sizeof stored);
  return std::isfinite(from_f16(stored));
}

bool put_block(const Map& map, const std::byte* block, const BlockCodes& from, const BlockCodes& to,
               std::byte* out) {
  const bool is_q8 = map.from == FormatId::q8_0;  // its code 0 is -127, but -128 can be stored
  for (size_t i = 0; i < from.shape.block_weights; ++i) {
    const uint32_t code = get_code(block, from.codes[i]);
    put_code(out, to.codes[i], is_q8 ? (code + 1) & 0xff : code);
  }
  if (map.from != FormatId::mxfp4) return put_scale(map, block, out + to.shape.block_bytes - 4);
  out[to.shape.block_bytes - 1] = block[0];
  return true;
}

}  // namespace

std::optional<FormatId> lossless_in_mlx(FormatId gguf) {
  const Map* map = find_map(gguf);
  return map ? std::optional{map->to} : std::nullopt;
}

bool to_mlx(FormatId gguf, std::span<const std::byte> blocks, int64_t cols, std::byte* mlx) {
  const Map& map = *find_map(gguf);
  const BlockCodes &from = *block_codes(map.from), &to = *block_codes(map.to);
  for (int64_t b = 0; b < cols / from.shape.block_weights; ++b)
    if (!put_block(map, blocks.data() + b * from.shape.block_bytes, from, to, mlx + b * to.shape.block_bytes))
      return false;
  return true;
}

}  // namespace snug
