#pragma once

#include <cstdint>
#include <span>

#include "quant/mlx_rule.hpp"
#include "snug/format.hpp"

namespace snug {

/// One row for an encoder.
struct EncodeJob {
  const float* x;            // [cols] finite
  const float* mean_square;  // [cols], finite, >= 0; or null: 1 everywhere
  const float* mean;         // [cols] or null: 0 everywhere
  int64_t cols;              // a multiple of the format's block
  bool hard;                 // Effort::max
  void* blocks;              // cols / block_weights blocks, any alignment
};

/// One block of 256 weights whose scales stay and whose codes are chosen anew.
struct RecodeJob {
  const float* x;            // [256] finite: what the block should come near
  const float* mean_square;  // [256], finite, >= 0
  int from, to;              // codes of other weights may stay as they are; multiples of 32
  void* block;               // encoded before, from weights not far away
};

/// One row to be rounded as MLX itself rounds it.
struct StockJob {
  const float* x;  // [cols] finite
  int64_t cols;    // a multiple of the format's block
  MlxRule rule;
  void* blocks;
};

using EncodeRow = void (*)(const EncodeJob& job) noexcept;
using DecodeRow = void (*)(const void* blocks, int64_t cols, float* row) noexcept;
/// y[i] += scale x[i], each product rounded before it is added.
using AddScaled = void (*)(float* y, const float* x, float scale, int64_t n) noexcept;
/// y[k] += scale[i] panel[row[i] - first][k] for i = 0, 1, ... in turn, each product rounded before it is added. y and the
/// panel's rows have kPanelColumns floats.
constexpr int64_t kPanelColumns = 64;
using AddPanel = void (*)(float* y, const float* panel, int64_t first, const int32_t* row,
                          const float* scale, int64_t count) noexcept;
/// prices[i] = p^T own p + linear^T p of the points entries[i] of a codebook, own [d, d] and points [.., d]
/// row-major; products and sums rounded one after the other, in one order.
constexpr int kPricedPoints = 16;
using PricePoints = void (*)(const float* own, const float* linear, const float* points, const uint16_t* entries,
                             float* prices) noexcept;
using RecodeBlock = void (*)(const RecodeJob& job) noexcept;
using EncodeStock = void (*)(const StockJob& job) noexcept;

struct Codec {
  EncodeRow encode = nullptr;
  DecodeRow decode = nullptr;
  RecodeBlock recode = nullptr;  // for 256 weights a block: there it is much less work than encode
  EncodeStock stock = nullptr;   // formats of MLX
};

/// sum w d^2 and sum m d, d = decoded - original.
struct RowErrors {
  double diagonal, along_mean;
};

/// Over a row w and what it decodes to, q, with u = v - m^2: sum u w w, u w q, u q q, m w, m q.
struct GainSums {
  double ww, wq, qq, mean_w, mean_q;
};

/// What it takes to weigh the errors of a row, for any format. Counts are multiples of eight, of `finite`
/// any.
struct RowWork {
  bool (*finite)(const float* x, int64_t count) noexcept;  // no infinity and no NaN
  /// weights = v - m^2, but no less than a fiftieth of v: sampling noise must not make a column free.
  /// shift = m / weight, or 0.
  void (*weigh)(const float* v, const float* m, int64_t count, float* weights, float* shift) noexcept;
  float (*sum_products)(const float* a, const float* b, int64_t count) noexcept;
  RowErrors (*errors)(const float* decoded, const float* x, const float* weights, const float* mean,
                      int64_t count) noexcept;
  /// Adds to sums; null is 1 everywhere for v, 0 for m.
  void (*gain)(const float* w, const float* q, const float* v, const float* m, int64_t count,
               GainSums& sums) noexcept;
  /// target = x - step shift where that is finite, else x.
  void (*aim)(const float* x, const float* shift, float step, int64_t count, float* target) noexcept;
};

/// What one instruction set does with one format.
struct CodecRow {
  FormatId id{};
  Codec codec;
};

/// Everything one instruction set does, the same bytes as every other. Filled by kernels_for() in all.hpp.
struct Kernels {
  const char* isa;
  RowWork row;
  std::span<const CodecRow> codecs;  // of every format, in the order of kFormatRows
  AddScaled add_scaled = nullptr;
  AddPanel add_panel = nullptr;
  PricePoints price_points4 = nullptr, price_points8 = nullptr;  // of so many numbers
};

/// The best set this machine runs, or the one named by the environment variable SNUG_ISA.
/// Throws Error where that is no name or cannot run here.
const Kernels& kernels();

}  // namespace snug
