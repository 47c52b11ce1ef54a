#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace snug {

/// The numbers are GGUF's tensor type ids, and from 1000 on our own. Keys of measurements hash them: a number
/// once given stays. Only formats in all_formats() can be encoded and decoded.
enum class FormatId : uint32_t {
  f32 = 0, f16 = 1, q4_0 = 2, q4_1 = 3, q5_0 = 6, q5_1 = 7, q8_0 = 8,
  q2_K = 10, q3_K = 11, q4_K = 12, q5_K = 13, q6_K = 14,
  iq2_xxs = 16, iq2_xs = 17, iq3_xxs = 18, iq1_s = 19, iq4_nl = 20, iq3_s = 21, iq2_s = 22, iq4_xs = 23,
  i8 = 24, i16 = 25, i32 = 26, i64 = 27, f64 = 28,
  iq1_m = 29, bf16 = 30, tq1_0 = 34, tq2_0 = 35, mxfp4 = 39, nvfp4 = 40, q1_0 = 41, q2_0 = 42,

  // MLX's affine codes: bits and weights a group; scale and bias in bf16, or (_f16) in f16.
  mlx_q2_g32 = 1000, mlx_q2_g64, mlx_q2_g128, mlx_q3_g32, mlx_q3_g64, mlx_q3_g128,
  mlx_q4_g32, mlx_q4_g64, mlx_q4_g128, mlx_q5_g32, mlx_q5_g64, mlx_q5_g128,
  mlx_q6_g32, mlx_q6_g64, mlx_q6_g128, mlx_q8_g32, mlx_q8_g64, mlx_q8_g128,
  mlx_q2_g32_f16 = 1020, mlx_q2_g64_f16, mlx_q2_g128_f16, mlx_q3_g32_f16, mlx_q3_g64_f16, mlx_q3_g128_f16,
  mlx_q4_g32_f16, mlx_q4_g64_f16, mlx_q4_g128_f16, mlx_q5_g32_f16, mlx_q5_g64_f16, mlx_q5_g128_f16,
  mlx_q6_g32_f16, mlx_q6_g64_f16, mlx_q6_g128_f16, mlx_q8_g32_f16, mlx_q8_g64_f16, mlx_q8_g128_f16,
  mlx_mxfp4 = 1040, mlx_nvfp4 = 1041, mlx_mxfp8 = 1042,  // MLX's floating-point modes
};

/// How hard an encoder searches. Part of the state's key: another effort is another measurement.
enum class Effort : uint8_t { normal, max };

/// Weight of the error along a row itself where the result counts is what the model says: such an error
/// turns the signal up or down, and costs about so many times the divergence of one across it (docs/loss.md).
constexpr float kAlongRow = 16;

/// What the error of one row is weighed with. Both spans are empty, or as long as the row.
///
///   mean_square  v_j >= 0: mean squared activation of input column j; empty means 1 everywhere
///   mean         m_j: mean activation; empty means 0 everywhere (only the diagonal counts)
///   along_row    >= 1: weight of the error along the row; 1 is the plain squared error
///
/// The error of a row w with differences d is, with u_j = v_j - m_j^2,
///   sum_j u_j d_j^2 + (sum_j m_j d_j)^2 + (along_row - 1) (sum_j u_j w_j d_j)^2 / sum_j u_j w_j^2.
struct ColumnWeights {
  std::span<const float> mean_square;
  std::span<const float> mean;
  float along_row = 1;
};

/// The kind of file that holds a format's tensors.
enum class Family : uint8_t { gguf, mlx };

enum class PlaneType : uint8_t { u32, u8, f16, bf16 };

/// A part of every block of a format that files keep as a tensor of its own, next to the same part of the
/// row's next block.
struct Plane {
  std::string_view name;  // MLX's: "weight", "scales", "biases"
  PlaneType type;
  uint32_t at, bytes;     // within the block; bytes is a multiple of the type's
};

/// What an encoder does with the column weights.
enum class UsesImportance : uint8_t { no, yes };

/// One row of the table: everything the rest of snug knows about a block format.
struct Format {
  FormatId id;
  std::string_view name;         // as in GGUF tools: "q4_K"
  Family family;
  std::optional<uint32_t> gguf_type;  // the tensor type in a GGUF file; none where such files cannot hold it
  uint32_t block_weights;        // a row's length must be a multiple of it
  uint32_t block_bytes;
  std::span<const Plane> planes;      // in the block's order; none where files keep whole blocks
  UsesImportance importance;
  uint16_t encoder_version;      // raised whenever the encoder's bytes may change; part of the state's key

  /// Encodes one row (finite; length a multiple of block_weights) into row_bytes() bytes.
  /// Same bytes on every instruction set and thread count. No allocation.
  void (*encode)(std::span<const float> row, const ColumnWeights& weights, Effort effort, std::byte* blocks);
  /// Decodes one row; agrees with ggml bit for bit. Any bytes decode without undefined behaviour.
  void (*decode)(const std::byte* blocks, std::span<float> row);

  double rmse_ceiling;           // relative RMSE on a standard normal row that a right encoder stays below

  bool fits(int64_t cols) const { return cols > 0 && cols % block_weights == 0; }
  int64_t row_bytes(int64_t cols) const { return cols / block_weights * block_bytes; }  // cols must fit
  double bits_per_weight() const { return 8.0 * block_bytes / block_weights; }
};

/// Every format snug can encode and decode, sorted by id: those that files of one family hold, or all.
std::span<const Format> formats(Family family = Family::gguf);
std::span<const Format> all_formats();

/// The format of that id or name (case-insensitive); nullptr if it is not in all_formats().
const Format* find_format(FormatId id);
const Format* find_format(std::string_view name);

/// Layout only, for all_formats() and the integer types that GGUF files may hold beside them:
/// block_weights == 0 if the id is unknown.
struct BlockShape { uint32_t block_weights = 0, block_bytes = 0; };
BlockShape block_shape(FormatId id);
std::string_view format_name(FormatId id);  // "q4_K", "i32"; "?" if unknown

/// The same by name (case-insensitive), integer types included; none if unknown.
std::optional<FormatId> find_tensor_type(std::string_view name);
/// Whether a tensor of a GGUF file may have that type.
bool is_gguf_type(FormatId id);

}  // namespace snug
