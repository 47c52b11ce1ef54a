#include "quant/gain.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/half.hpp"
#include "quant/blocks.hpp"
#include "quant/kernels/kernels.hpp"

namespace snug {
namespace {

constexpr int64_t kPiece = 1024;  // weights decoded at a time; a multiple of every block
constexpr int kNone = -1;

/// Where a block's f16 fields are.
struct Scales {
  FormatId id;
  int first, second;
};

constexpr Scales kScales[] = {
    {FormatId::q4_0, offsetof(BlockQ4_0, d), kNone},
    {FormatId::q4_1, offsetof(BlockQ4_1, d), offsetof(BlockQ4_1, m)},
    {FormatId::q5_0, offsetof(BlockQ5_0, d), kNone},
    {FormatId::q5_1, offsetof(BlockQ5_1, d), offsetof(BlockQ5_1, m)},
    {FormatId::q2_K, offsetof(BlockQ2_K, d), offsetof(BlockQ2_K, dmin)},
    {FormatId::q3_K, offsetof(BlockQ3_K, d), kNone},
    {FormatId::q4_K, offsetof(BlockQ4_K, d), offsetof(BlockQ4_K, dmin)},
    {FormatId::q5_K, offsetof(BlockQ5_K, d), offsetof(BlockQ5_K, dmin)},
    {FormatId::q6_K, offsetof(BlockQ6_K, d), kNone},
    {FormatId::iq2_xxs, offsetof(BlockIq2Xxs, d), kNone},
    {FormatId::iq2_xs, offsetof(BlockIq2Xs, d), kNone},
    {FormatId::iq3_xxs, offsetof(BlockIq3Xxs, d), kNone},
    {FormatId::iq1_s, offsetof(BlockIq1S, d), kNone},
    {FormatId::iq4_nl, offsetof(BlockIq4Nl, d), kNone},
    {FormatId::iq3_s, offsetof(BlockIq3S, d), kNone},
    {FormatId::iq2_s, offsetof(BlockIq2S, d), kNone},
    {FormatId::iq4_xs, offsetof(BlockIq4Xs, d), kNone},
    {FormatId::tq1_0, offsetof(BlockTq1_0, d), kNone},
    {FormatId::tq2_0, offsetof(BlockTq2_0, d), kNone},
    {FormatId::q1_0, offsetof(BlockQ1_0, d), kNone},
    {FormatId::q2_0, offsetof(BlockQ2_0, d), kNone},
};

uint16_t times(uint16_t half, float factor) {
  const uint16_t product = to_f16(from_f16(half) * factor);
  return (product & 0x7c00) == 0x7c00 ? half : product;  // not beyond the largest f16
}

void multiply_field(std::byte* field, float factor) {
  uint16_t half = 0;
  std::memcpy(&half, field, sizeof half);
  half = times(half, factor);
  std::memcpy(field, &half, sizeof half);
}

/// The f16 of iq1_m lies in the top nibbles of its four scale words.
void multiply_iq1_m(std::byte* block, float factor) {
  BlockIq1M b;
  std::memcpy(&b, block, sizeof b);
  uint16_t half = 0;
  for (int k = 0; k < 4; ++k) half = static_cast<uint16_t>(half | (b.scales[k] >> 12) << 4 * k);
  half = times(half, factor);
  for (int k = 0; k < 4; ++k)
    b.scales[k] = static_cast<uint16_t>((b.scales[k] & 0x0fff) | (half >> 4 * k & 15) << 12);
  std::memcpy(block, &b, sizeof b);
}

/// Products of row and decoded row: whole, in the whole form; own, in the metric of the variances alone.
struct Products {
  double whole_qq = 0, whole_wq = 0;
  double own_wq = 0, own_ww = 0;
};

Products products(const Format& format, std::span<const float> row, const ColumnWeights& columns,
                  const std::byte* blocks) {
  alignas(64) float decoded[kPiece];
  GainSums sums{};
  for (size_t at = 0; at < row.size(); at += kPiece) {
    const size_t n = std::min(row.size() - at, static_cast<size_t>(kPiece));
    format.decode(blocks + format.row_bytes(static_cast<int64_t>(at)), {decoded, n});
    kernels().row.gain(row.data() + at, decoded,
                       columns.mean_square.empty() ? nullptr : &columns.mean_square[at],
                       columns.mean.empty() ? nullptr : &columns.mean[at], static_cast<int64_t>(n), sums);
  }
  return {sums.qq + sums.mean_q * sums.mean_q, sums.wq + sums.mean_w * sums.mean_q, sums.wq, sums.ww};
}

}  // namespace

bool multiply_scales(FormatId format, std::span<std::byte> blocks, float factor) {
  const size_t bytes = block_shape(format).block_bytes;
  const auto* found = std::ranges::find(kScales, format, &Scales::id);
  if (found == std::end(kScales) && format != FormatId::iq1_m) return false;
  for (size_t at = 0; at + bytes <= blocks.size(); at += bytes) {
    std::byte* block = blocks.data() + at;
    if (format == FormatId::iq1_m) {
      multiply_iq1_m(block, factor);
      continue;
    }
    multiply_field(block + found->first, factor);
    if (found->second != kNone) multiply_field(block + found->second, factor);
  }
  return true;
}

void restore_gain(const Format& format, std::span<const float> row, const ColumnWeights& columns,
                  std::byte* blocks) {
  if (format.block_bytes >= format.block_weights) return;
  const Products p = products(format, row, columns, blocks);
  if (!(p.own_ww > 0)) return;
  const double extra = columns.along_row - 1;
  const double best = (p.whole_wq + extra * p.own_wq) / (p.whole_qq + extra * p.own_wq * p.own_wq / p.own_ww);
  if (!(best > 0.25 && best < 4)) return;  // a form that is none, or a row of which nothing is left
  multiply_scales(format.id,
                  {blocks, static_cast<size_t>(format.row_bytes(static_cast<int64_t>(row.size())))},
                  static_cast<float>(best));
}

}  // namespace snug
