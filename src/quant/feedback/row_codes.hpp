#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "quant/feedback/block_codes.hpp"
#include "quant/feedback/group_search.hpp"

namespace snug {

/// The scales and codes of one encoded row, apart: scales are read from its blocks, codes may be changed and
/// written back.
class RowCodes {
 public:
  RowCodes(const Format& format, const BlockCodes& codes, int64_t cols);

  int64_t block_weights() const { return codes_.shape.block_weights; }

  /// Reads a block: its scales, codes and what they decode to. Where `keep_codes`, codes are those of before.
  void load(int64_t block, const std::byte* row_blocks);
  /// Writes the codes into a block that has the scales, and reads back what they decode to.
  void store(int64_t block, std::byte* row_blocks);

  float value(int64_t j) const { return value_[static_cast<size_t>(j)]; }
  std::span<const float> values() const { return value_; }

  /// Scalar formats: gives weight j the code nearest to `wanted`; its value.
  float choose(int64_t j, float wanted);

  /// Codebook formats, group g: weights 8g to 8g + 7.
  const GroupScale& scale(int64_t g) const { return group_scale_[static_cast<size_t>(g)]; }
  const GroupCodes& group(int64_t g) const { return group_[static_cast<size_t>(g)]; }
  void set_group(int64_t g, const GroupCodes& codes, const float* values);

 private:
  void fill(uint32_t code, std::span<float> out);
  void load_scalar(int64_t block, const std::byte* bytes);
  void load_codebook(int64_t block, const std::byte* bytes);

  const Format& format_;
  const BlockCodes& codes_;
  std::vector<float> value_;
  std::vector<float> a_, b_, inverse_;  // scalar: of each weight; inverse 0 where a code makes no difference
  std::vector<uint8_t> code_;
  std::vector<GroupScale> group_scale_;
  std::vector<GroupCodes> group_;
  std::vector<std::byte> scratch_;  // a block with the same scales and other codes
  std::vector<float> low_, high_;   // what it decodes to
};

}  // namespace snug
