#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "snug/format.hpp"

// Products of packed weights with activations rounded as llama.cpp rounds them: what Compute::fast is made
// of.

namespace snug::infer {

/// What the activations of a product are rounded to.
enum class Rounding : uint8_t {
  none,      // f32
  f16,       // to nearest even
  bf16,      // to nearest even
  blocks32,  // 8 bits: d = max |x| / 127 a block, q = x * 127 / max to nearest even; d is then rounded to f16
  blocks256,  // 8 bits: d = max |x| / 127 a block, kept as f32
  blocks32_f32,  // as blocks32, with d and s kept as f32
};

/// Whether sums of 32 activations, scaled, are kept for offsets.
constexpr bool has_offsets(Rounding rounding) {
  return rounding == Rounding::blocks32 || rounding == Rounding::blocks32_f32;
}

constexpr int64_t block_of(Rounding rounding) {
  return rounding == Rounding::blocks256 ? 256 : rounding >= Rounding::blocks32 ? 32 : 1;
}

/// One row of rounded activations. Which arrays are there follows from the rounding.
struct RoundedRow {
  int8_t* q = nullptr;  // [cols]: 8-bit roundings
  float* d = nullptr;   // [cols / block]: 8-bit roundings
  float* s = nullptr;   // [cols / 32]: d (before its rounding) times the sum of q, rounded to f16: blocks32;
                        // d times the sum of q: blocks32_f32
  int16_t* sums = nullptr;  // blocks32: [cols / 32] sums of 32 q; blocks32_f32: [cols / 16] sums of 16 q;
                            // blocks256: the same, of each 16 the even ones first
  float* x = nullptr;  // [cols]: the others, as f32
};

/// How a product wants its tokens.
enum class Layout : uint8_t {
  pairs,  // side by side, two 16-bit columns of one after the other: TokenTiles::q, or x for unrounded ones
  bytes,  // side by side, four columns of one after the other
  rows,   // as they are
};

/// Rows of rounded activations with the tokens side by side: tiles of kTileTokens, the last padded with
/// zeros.
struct TokenTiles {
  int64_t tokens = 0, cols = 0;
  const RoundedRow* rows = nullptr;  // the same as rows, one after the other in memory, padded to kRowTokens
  int16_t* q = nullptr;              // [tile][cols / 2][token][2]: Layout::pairs
  int8_t* bytes = nullptr;           // [tile][cols / 4][token][4]: Layout::bytes
  float* d = nullptr;                // [tile][cols / block][token]
  float* s = nullptr;                // [tile][cols / 32][token]
  int16_t* sums = nullptr;           // [tile][cols / 32][token][2]
  float* x = nullptr;                // [tile][cols][token]

  int64_t tiles() const { return (tokens + 7) / 8; }
};

inline constexpr int64_t kTileTokens = 8;
inline constexpr int64_t kRowTokens = 16;  // what rows of activations are padded to a multiple of
inline constexpr int kIntegerPeakOperations = 384, kRealPeakOperations = 192;
inline constexpr int64_t kProductRows = 32;  // of weights, in one call of PackedFormat::product

/// Rows of a packed matrix.
struct PackedRows {
  const std::byte* data;
  int64_t row_bytes;
  int64_t count;
  int64_t cols;  // a multiple of the format's block
};

/// What one instruction set does with one format. Integer sums are exact within a block of activations and
/// added up in f32 in one order, the same on every instruction set.
struct PackedFormat {
  FormatId id{};
  Rounding rounding{};
  /// y[r] = row r times x.
  void (*dots)(const PackedRows& rows, const RoundedRow& x, float* y) = nullptr;
  /// y[t * y_stride + r] = row r times token t, for at most kProductRows rows. The rows are unpacked once.
  /// `scratch` [scratch_size(tokens)] is overwritten. Differs from dots() by f32 rounding of sums.
  void (*product)(const PackedRows& rows, const TokenTiles& x, float* scratch, float* y,
                  int64_t y_stride) = nullptr;
  Layout layout = Layout::pairs;  // what product reads
};

inline constexpr int64_t kStripRows = 16;

/// A format whose products are faster once a matrix is repacked, kStripRows rows at a time.
struct RepackedFormat {
  /// Of repacked rows: whole strips, `data` the strips, `row_bytes` as below. dots() and product() give the
  /// same bits.
  PackedFormat products;
  int64_t strip_bytes = 0;  // of kStripRows blocks
  int64_t columns = 0;      // of a block
  /// Rows of the format, a multiple of kStripRows, to their strips: row_bytes(cols) bytes each, beginning at a
  /// multiple of 32.
  void (*repack)(const PackedRows& rows, std::byte* strips) = nullptr;

  int64_t row_bytes(int64_t cols) const {
    return cols / columns * strip_bytes / kStripRows;
  }
};

constexpr int64_t scratch_size(int64_t tokens) {
  return (tokens + kRowTokens - 1) / kRowTokens * kRowTokens * kProductRows;
}

inline constexpr int64_t kAttendKeys = 64;  // keys in a block

/// Queries that share a key/value head, some (MatmulKernels::attend_lanes) side by side, and what they have
/// gathered so far.
struct AttendQueries {
  int64_t tiles = 0, key_dim = 0, value_dim = 0;
  float scale = 1, soft_cap = 0;
  const float* q = nullptr;  // [tile][key_dim][lane]
  float* scores = nullptr;   // [tile][kAttendKeys][lane]
  float* most = nullptr;     // [tile][lane] largest score so far
  float* sum = nullptr;      // [tile][lane] of weights, relative to it
  float* out = nullptr;      // [tile][value_dim][lane] weighted values, relative to it
};
struct AttendKeys {
  const float* k;  // [count rounded up to 8][key_dim]
  const float* v;  // [count][value_dim]
  int64_t count;   // at most kAttendKeys
};

struct MatmulKernels {
  const char* isa;
  /// Rounds one row of `cols` values, a multiple of the rounding's block. Values are finite.
  void (*round)(Rounding rounding, const float* x, int64_t cols, const RoundedRow& out);
  /// Fills one tile from kTileTokens rounded rows.
  void (*interleave)(Rounding rounding, Layout layout, const RoundedRow* rows, int64_t tile,
                     const TokenTiles& out);
  std::span<const PackedFormat> formats;
  std::span<const RepackedFormat> repacked;  // those that gain by it
  /// Attention to a block of keys: scores of all of them, to be masked (-1e30) by the caller, then their part
  /// of the output. attend_one is both for one query alone, without the side by side.
  int64_t attend_lanes;
  void (*score)(const AttendQueries& queries, const AttendKeys& keys);
  void (*gather)(const AttendQueries& queries, const AttendKeys& keys);
  void (*attend_one)(const AttendQueries& query, const AttendKeys& keys);
  /// Rows of f16 values, `row_bytes` apart, as f32 after each other: [rows][count].
  void (*widen)(const std::byte* from, int64_t row_bytes, int64_t rows, int64_t count, float* to);
  /// gate = silu(gate) * up
  void (*silu)(float* gate, const float* up, int64_t count);
  /// y = x / sqrt(mean(x^2) + eps) * weight, summed in f32
  void (*norm)(const float* x, const float* weight, int64_t count, float eps, float* y);
  /// What figures are put beside: reads everything, one stretch after the other (multiples of 128 bytes) or
  /// as fast as is known (of 16 KiB); so many operations a step, in registers.
  uint64_t (*read)(const void* from, int64_t bytes);
  uint64_t (*read_ahead)(const void* from, int64_t bytes);
  float (*integer_peak)(int64_t steps);
  float (*real_peak)(int64_t steps);

  const PackedFormat* find(FormatId id) const {
    for (const PackedFormat& format : formats)
      if (format.id == id) return &format;
    return nullptr;
  }
  const RepackedFormat* find_repacked(FormatId id) const {
    for (const RepackedFormat& format : repacked)
      if (format.products.id == id) return &format;
    return nullptr;
  }
};

/// The kernels for the instruction set of snug::kernels(); SNUG_ISA forces one.
const MatmulKernels& packed_kernels();
/// Those this machine runs, the best first.
std::span<const MatmulKernels* const> runnable_packed_kernels();

extern const MatmulKernels kPackedScalar;
#if defined(__x86_64__)
extern const MatmulKernels kPackedAvx2;
extern const MatmulKernels kPackedAvxVnni;  // the same, sums of products in one instruction
extern const MatmulKernels kPackedAvx512;  // VNNI on registers of 256 bits
extern const MatmulKernels kPackedAmx;     // the same, and products on tiles
#endif

}  // namespace snug::infer
