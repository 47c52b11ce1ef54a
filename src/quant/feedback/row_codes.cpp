#include "quant/feedback/row_codes.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace snug {
namespace {

using Signs = BlockCodes::Signs;

}  // namespace

RowCodes::RowCodes(const Format& format, const BlockCodes& codes, int64_t cols)
    : format_(format),
      codes_(codes),
      value_(static_cast<size_t>(cols)),
      scratch_(codes.shape.block_bytes),
      low_(codes.shape.block_weights),
      high_(codes.shape.block_weights) {
  const auto n = static_cast<size_t>(cols);
  if (codes.is_codebook()) {
    group_scale_.resize(n / kGroup);
    group_.resize(n / kGroup);
  } else {
    a_.resize(n);
    b_.resize(n);
    inverse_.resize(n);
    code_.resize(n);
  }
}

/// What the block in scratch_ decodes to with every code the same and no signs.
void RowCodes::fill(uint32_t code, std::span<float> out) {
  const int64_t weights = block_weights();
  const int64_t count = codes_.is_codebook() ? weights / codes_.dimensions : weights;
  for (int64_t i = 0; i < count; ++i) put_code(scratch_.data(), codes_.codes[static_cast<size_t>(i)], code);
  if (codes_.is_codebook() && codes_.sign[0].low.width)
    for (int64_t g = 0; g < weights / kGroup; ++g)
      put_code(scratch_.data(), codes_.sign[static_cast<size_t>(g)], 0);
  format_.decode(scratch_.data(), out);
}

void RowCodes::load(int64_t block, const std::byte* row_blocks) {
  const std::byte* bytes = row_blocks + block * codes_.shape.block_bytes;
  std::memcpy(scratch_.data(), bytes, scratch_.size());
  if (codes_.is_codebook())
    load_codebook(block, bytes);
  else
    load_scalar(block, bytes);
  format_.decode(bytes, std::span{value_}.subspan(static_cast<size_t>(block * block_weights()), low_.size()));
}

void RowCodes::load_scalar(int64_t block, const std::byte* bytes) {
  const bool affine = !codes_.table;
  const uint32_t unit = affine ? 0 : codes_.unit_code;
  fill(unit, low_);
  if (affine) fill(static_cast<uint32_t>(codes_.levels - 1), high_);
  const auto from = static_cast<size_t>(block * block_weights());
  for (size_t i = 0; i < low_.size(); ++i) {
    const float a = affine ? (high_[i] - low_[i]) / static_cast<float>(codes_.levels - 1) : low_[i];
    const float inverse = a != 0 ? 1 / a : 0;
    a_[from + i] = a;
    b_[from + i] = affine ? low_[i] : 0;
    inverse_[from + i] = std::isfinite(inverse) && std::isfinite(a) ? inverse : 0;
    code_[from + i] = static_cast<uint8_t>(get_code(bytes, codes_.codes[i]));
  }
}

void RowCodes::load_codebook(int64_t block, const std::byte* bytes) {
  const int d = codes_.dimensions, per_group = kGroup / d;
  const float first = codes_.values[0];
  const bool is_signed = first == 0;  // iq1: 0, 1, 2 for -1, 0, 1
  fill(0, low_);
  if (is_signed) fill(static_cast<uint32_t>(codes_.entries - 1), high_);
  const auto from = static_cast<size_t>(block * block_weights() / kGroup);
  for (size_t g = 0; g < low_.size() / kGroup; ++g) {
    const float low = low_[g * kGroup], high = high_[g * kGroup];
    const float a = is_signed ? (high - low) * 0.5f : low / first;
    group_scale_[from + g] = std::isfinite(a) ? GroupScale{a, is_signed ? low + a : 0} : GroupScale{};
    GroupCodes& codes = group_[from + g];
    for (int e = 0; e < per_group; ++e)
      codes.entry[e] = static_cast<uint16_t>(
          get_code(bytes, codes_.codes[g * static_cast<size_t>(per_group) + static_cast<size_t>(e)]));
    codes.negative = codes_.sign[g].low.width ? static_cast<uint8_t>(get_code(bytes, codes_.sign[g])) : 0;
    if (codes_.signs == Signs::even)
      codes.negative = static_cast<uint8_t>(codes.negative | (__builtin_popcount(codes.negative) & 1) << 7);
  }
}

void RowCodes::store(int64_t block, std::byte* row_blocks) {
  std::byte* bytes = row_blocks + block * codes_.shape.block_bytes;
  const auto from = static_cast<size_t>(block * block_weights());
  if (codes_.is_codebook()) {
    const int per_group = kGroup / codes_.dimensions;
    for (size_t g = 0; g < low_.size() / kGroup; ++g) {
      const GroupCodes& codes = group_[from / kGroup + g];
      for (int e = 0; e < per_group; ++e)
        put_code(bytes, codes_.codes[g * static_cast<size_t>(per_group) + static_cast<size_t>(e)],
                 codes.entry[e]);
      if (codes_.sign[g].low.width) put_code(bytes, codes_.sign[g], codes.negative);
    }
  } else {
    for (size_t i = 0; i < low_.size(); ++i) put_code(bytes, codes_.codes[i], code_[from + i]);
  }
  format_.decode(bytes, std::span{value_}.subspan(from, low_.size()));
}

float RowCodes::choose(int64_t j, float wanted) {
  const auto at = static_cast<size_t>(j);
  if (inverse_[at] == 0) return value_[at];
  const float x = (wanted - b_[at]) * inverse_[at];
  if (codes_.table) {
    const auto apart = [&](int k) { return std::fabs(codes_.table[k] - x); };
    int best = 0;
    for (int k = 1; k < codes_.levels; ++k)
      if (apart(k) < apart(best)) best = k;
    code_[at] = static_cast<uint8_t>(best);
    return value_[at] = a_[at] * codes_.table[best];
  }
  const float within = std::min(std::max(x, 0.0f), static_cast<float>(codes_.levels - 1));
  code_[at] = static_cast<uint8_t>(within + 0.5f);
  return value_[at] = a_[at] * static_cast<float>(code_[at]) + b_[at];
}

void RowCodes::set_group(int64_t g, const GroupCodes& codes, const float* values) {
  group_[static_cast<size_t>(g)] = codes;
  std::memcpy(value_.data() + g * kGroup, values, kGroup * sizeof(float));
}

}  // namespace snug
