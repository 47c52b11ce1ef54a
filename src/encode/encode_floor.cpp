#include "encode/encode_floor.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/half.hpp"
#include "quant/block_fields.hpp"
#include "quant/blocks_k.hpp"
#include "quant/feedback/block_codes.hpp"

namespace snug {
namespace {

/// Blocks whose codes are all there are: one after the other, in as many as that takes, or where they cannot be set one
/// by one, one of all sorts of bytes.
std::vector<std::byte> blocks_of_all_codes(const Format& format) {
  if (const BlockCodes* codes = block_codes(format.id)) {
    const uint32_t levels = static_cast<uint32_t>(codes->levels), each = format.block_weights;
    const uint32_t count = (levels - 1) / each + 1;
    std::vector<std::byte> blocks(size_t{count} * format.block_bytes);
    for (uint32_t i = 0; i < count * each; ++i)
      put_code(blocks.data() + size_t{i / each} * format.block_bytes, codes->codes[i % each], i % levels);
    return blocks;
  }
  std::vector<std::byte> block(format.block_bytes);
  for (size_t i = 0; i < block.size(); ++i) block[i] = static_cast<std::byte>(5 * i);
  return block;
}

double squared(float w, float x, float y) {
  const double d = static_cast<double>(y) - x;
  return w * d * d;
}

/// The least error of sixteen weights of q3_K at one scale.
double q3_k_error(const EncodeFloor::Block& b, float step, double bound) {
  const float inverse = step == 0 ? 0 : 1 / step;
  double error = 0;
  for (size_t j = 0; j < b.x.size() && error < bound; ++j)
    error += squared(b.w[j], b.x[j], step * std::clamp(std::nearbyintf(b.x[j] * inverse), -4.0f, 3.0f));
  return error;
}

/// The same at any real scale: codes change where a weight over the scale is a whole number and a half.
double q3_k_real_error(const EncodeFloor::Block& b) {
  std::vector<double> turns;  // of 1 / scale
  double square = 0;
  for (size_t j = 0; j < b.x.size(); ++j) {
    square += static_cast<double>(b.w[j]) * b.x[j] * b.x[j];
    for (int k = -4; b.x[j] != 0 && k < 3; ++k) turns.push_back((k + 0.5) / b.x[j]);
  }
  if (turns.empty()) return 0;
  turns.push_back(0);
  std::ranges::sort(turns);
  turns.insert(turns.begin(), 3 * turns.front());
  turns.push_back(3 * turns.back());
  double best = square;
  for (size_t k = 1; k < turns.size(); ++k) {
    const double inverse = (turns[k - 1] + turns[k]) / 2;
    double xy = 0, yy = 0;
    for (size_t j = 0; j < b.x.size(); ++j) {
      const double y = std::clamp(std::nearbyint(b.x[j] * inverse), -4.0, 3.0);
      xy += b.w[j] * b.x[j] * y;
      yy += b.w[j] * y * y;
    }
    if (yy > 0) best = std::min(best, square - xy * xy / yy);
  }
  return best * (1 - 1e-9);  // below, whatever was rounded
}

/// Every f16 d that can matter, with every S of each sub-block; one of +32 is allowed too, so that d need not
/// be negative. Most trials end early: what is left can do no better than with real scales.
double q3_k_floor(const EncodeFloor::Block& b, double least) {
  constexpr size_t kSub = 16, kSubs = kSuperBlock / kSub;
  std::array<EncodeFloor::Block, kSubs> subs;
  std::array<double, kSubs + 1> rest{};  // of the sub-blocks from here on
  for (size_t g = kSubs; g-- > 0;) {
    subs[g] = {b.x.subspan(kSub * g, kSub), b.w.subspan(kSub * g, kSub)};
    rest[g] = rest[g + 1] + q3_k_real_error(subs[g]);
  }
  float most = 0;
  for (float x : b.x) most = std::max(most, std::fabs(x));
  for (uint16_t bits = 0; bits < 0x7c00 && from_f16(bits) <= 2 * most; ++bits) {  // beyond, all codes are 0
    double error = 0;
    for (size_t g = 0; g < kSubs && error + rest[g] < least; ++g) {
      double best = std::numeric_limits<double>::infinity();
      for (int s = -32; s <= 32; ++s)
        best = std::min(best, q3_k_error(subs[g], from_f16(bits) * static_cast<float>(s), best));
      error += best;
      if (g + 1 == kSubs) least = std::min(least, error);
    }
  }
  return least;
}

}  // namespace

EncodeFloor::EncodeFloor(const Format& format) {
  if (format.id == FormatId::q3_K) {
    kind_ = Kind::q3_k;
    weights_ = kSuperBlock;
  } else {
    read_scales(format);
  }
}

/// Lets the decoder say what every scale makes of every code.
void EncodeFloor::read_scales(const Format& format) {
  const LoneScale place = find_block_fields(format.id)->lone_scale;
  if (place.bytes == 0) return;
  kind_ = Kind::one_scale;
  weights_ = place.weights;
  std::vector<std::byte> blocks = blocks_of_all_codes(format);
  std::vector<float> values;
  for (uint32_t bits = 0; bits < 1u << 8 * place.bytes; ++bits) {
    for (size_t first = 0; first < blocks.size(); first += format.block_bytes)
      std::memcpy(blocks.data() + first + place.at, &bits, place.bytes);
    values.resize(blocks.size() / format.block_bytes * format.block_weights);
    format.decode(blocks.data(), values);
    std::erase_if(values, [](float y) { return !std::isfinite(y); });  // a code may be NaN, or all of a scale be
    if (values.empty()) continue;
    std::ranges::sort(values);
    values.erase(std::unique(values.begin(), values.end()), values.end());
    scales_.push_back({values_.size(), values_.size() + values.size()});
    values_.insert(values_.end(), values.begin(), values.end());
  }
}

double EncodeFloor::one_scale(const Block& b, double least) const {
  for (const Scale& scale : scales_) {
    const float *first = values_.data() + scale.first, *end = values_.data() + scale.end;
    double error = 0;
    for (size_t j = 0; j < b.x.size() && error < least; ++j) {
      const float* above = std::lower_bound(first, end, b.x[j]);
      double here = std::numeric_limits<double>::infinity();
      if (above != end) here = squared(b.w[j], b.x[j], *above);
      if (above != first) here = std::min(here, squared(b.w[j], b.x[j], above[-1]));
      error += here;
    }
    least = std::min(least, error);
  }
  return least;
}

double EncodeFloor::least_error(std::span<const float> row, std::span<const float> importance,
                                std::span<const float> decoded) const {
  const std::vector<float> ones(importance.empty() ? row.size() : 0, 1.0f);
  const std::span<const float> weights = importance.empty() ? std::span<const float>{ones} : importance;
  double total = 0;
  for (size_t at = 0; at < row.size(); at += weights_) {
    const Block block{row.subspan(at, weights_), weights.subspan(at, weights_)};
    double known = 0;
    for (size_t j = 0; j < weights_; ++j) known += squared(block.w[j], block.x[j], decoded[at + j]);
    total += kind_ == Kind::one_scale ? one_scale(block, known) : q3_k_floor(block, known);
  }
  return total;
}

}  // namespace snug
