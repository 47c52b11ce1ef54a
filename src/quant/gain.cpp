#include "quant/gain.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/half.hpp"
#include "quant/block_fields.hpp"
#include "quant/feedback/block_codes.hpp"
#include "quant/kernels/kernels.hpp"

namespace snug {
namespace {

constexpr int64_t kPiece = 1024;  // weights decoded at a time; a multiple of every block

/// One stored float times `factor`; as it is where that would not be finite.
uint16_t times(uint16_t bits, ScaleType type, float factor) {
  if (type == ScaleType::bf16) {
    const uint16_t product = to_bf16(from_bf16(bits) * factor);
    return (product & 0x7f80) == 0x7f80 ? bits : product;
  }
  const uint16_t product = to_f16(from_f16(bits) * factor);
  return (product & 0x7c00) == 0x7c00 ? bits : product;
}

void multiply_scale(std::byte* block, const ScalePlace& place, ScaleType type, float factor) {
  uint32_t bits = 0;
  int at = 0;
  for (const BitField& part : place.parts) {
    if (part.width) bits |= get_bits(block, part) << at;
    at += part.width;
  }
  bits = times(static_cast<uint16_t>(bits), type, factor);
  for (const BitField& part : place.parts) {
    if (part.width) put_bits(block, part, bits & ((1u << part.width) - 1));
    bits >>= part.width;
  }
}

/// Products of row and decoded row: whole, in the whole form; own, in the metric of the variances alone.
struct Products {
  double whole_qq = 0, whole_wq = 0;
  double own_wq = 0, own_ww = 0;

  /// The row's error, less what does not depend on the blocks.
  double error(double extra) const {
    return whole_qq - 2 * whole_wq + extra * (own_wq - own_ww) * (own_wq - own_ww) / own_ww;
  }
};

/// Of the row's blocks with their scales multiplied by `factor`.
Products products(const Format& format, std::span<const float> row, const ColumnWeights& columns,
                  const std::byte* blocks, float factor) {
  alignas(64) float decoded[kPiece];
  std::byte multiplied[2 * kPiece];
  GainSums sums{};
  for (size_t at = 0; at < row.size(); at += kPiece) {
    const size_t n = std::min(row.size() - at, static_cast<size_t>(kPiece));
    const std::byte* piece = blocks + format.row_bytes(static_cast<int64_t>(at));
    if (factor != 1) {
      const std::span copy{multiplied, static_cast<size_t>(format.row_bytes(static_cast<int64_t>(n)))};
      std::memcpy(copy.data(), piece, copy.size());
      multiply_scales(format.id, copy, factor);
      piece = multiplied;
    }
    format.decode(piece, {decoded, n});
    kernels().row.gain(row.data() + at, decoded,
                       columns.mean_square.empty() ? nullptr : &columns.mean_square[at],
                       columns.mean.empty() ? nullptr : &columns.mean[at], static_cast<int64_t>(n), sums);
  }
  return {sums.qq + sums.mean_q * sums.mean_q, sums.wq + sums.mean_w * sums.mean_q, sums.wq, sums.ww};
}

/// Whether the row is better with its scales multiplied. Those of MLX's formats are coarse against its codes:
/// rounding them may cost more than the gain is worth.
bool gains_by(const Format& format, std::span<const float> row, const ColumnWeights& columns,
              const std::byte* blocks, float factor, const Products& now) {
  if (format.family == Family::gguf) return true;
  const double extra = columns.along_row - 1;
  return products(format, row, columns, blocks, factor).error(extra) < now.error(extra);
}

}  // namespace

bool multiply_scales(FormatId format, std::span<std::byte> blocks, float factor) {
  const BlockFields* fields = find_block_fields(format);
  if (!fields || !fields->scales[0].exists()) return false;
  const size_t bytes = block_shape(format).block_bytes;
  for (size_t at = 0; at + bytes <= blocks.size(); at += bytes)
    for (const ScalePlace& place : fields->scales)
      if (place.exists()) multiply_scale(blocks.data() + at, place, fields->scale_type, factor);
  return true;
}

void restore_gain(const Format& format, std::span<const float> row, const ColumnWeights& columns,
                  std::byte* blocks) {
  const BlockFields* fields = find_block_fields(format.id);
  if (format.block_bytes >= format.block_weights || !fields->scales[0].exists()) return;
  const Products p = products(format, row, columns, blocks, 1);
  if (!(p.own_ww > 0)) return;
  const double extra = columns.along_row - 1;
  const double best = (p.whole_wq + extra * p.own_wq) / (p.whole_qq + extra * p.own_wq * p.own_wq / p.own_ww);
  if (!(best > 0.25 && best < 4)) return;  // a form that is none, or a row of which nothing is left
  const auto factor = static_cast<float>(best);
  if (!gains_by(format, row, columns, blocks, factor, p)) return;
  multiply_scales(format.id,
                  {blocks, static_cast<size_t>(format.row_bytes(static_cast<int64_t>(row.size())))}, factor);
}

}  // namespace snug
