#include "hf/packed_codes.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "base/json_reader.hpp"
#include "base/str.hpp"
#include "hf/rows.hpp"

namespace snug::hf {
namespace {

using safetensors::Dtype;

/// Unsigned codes in words of 32 bits, from the lowest bits on; a code does not reach into the next word.
struct Packing {
  int bits = 4;
  const std::byte* data = nullptr;

  int per_word() const { return 32 / bits; }

  /// The code at `place` of a word.
  int32_t code(int64_t word_number, int64_t place) const {
    uint32_t word;
    std::memcpy(&word, data + static_cast<size_t>(word_number) * sizeof word, sizeof word);
    return static_cast<int32_t>(word >> (bits * place) & ((1u << bits) - 1));
  }
};

int64_t stored_integer(const Source& source, size_t i) {
  if (source.raw->dtype == Dtype::i64) {
    int64_t value;
    std::memcpy(&value, source.raw->bytes.data() + i * sizeof value, sizeof value);
    return value;
  }
  int32_t value;
  std::memcpy(&value, source.raw->bytes.data() + i * sizeof value, sizeof value);
  return value;
}

/// [rows, cols] of the weights that were packed.
std::array<int64_t, 2> packed_shape(const Source& shape) {
  const Dtype dtype = shape.raw->dtype;
  const size_t size = dtype == Dtype::i64 ? 8 : 4;
  if ((dtype != Dtype::i64 && dtype != Dtype::i32) || shape.raw->bytes.size() != 2 * size)
    shape.refuse(str("the tensor ", quoted(shape.name), " is no shape of a matrix"));
  return {stored_integer(shape, 0), stored_integer(shape, 1)};
}

/// `lines` of `codes` each, every line in words of its own.
Packing packing_of(const Source& source, int bits, int64_t lines, int64_t codes) {
  const Packing packing{bits, source.raw->bytes.data()};
  const int64_t words = ceil_div(std::clamp<int64_t>(codes, 0, INT32_MAX), packing.per_word());
  if ((source.raw->dtype != Dtype::i32 && source.raw->dtype != Dtype::u32) || lines < 1 || codes < 1 ||
      lines > INT32_MAX || codes > INT32_MAX || source.raw->bytes.size() != static_cast<size_t>(lines * words) * 4)
    source.refuse(str("the tensor ", quoted(source.name), " does not hold ", lines, " x ", codes, " weights of ", bits,
                      " bits"));
  return packing;
}

}  // namespace

Tensor unpacked(const PackedParts& parts, int bits) {
  const auto [rows, cols] = packed_shape(*parts.shape);
  const Packing packing = packing_of(*parts.codes, bits, rows, cols);
  const Tensor scale = parts.scale->need_weights();
  const int64_t groups = scale.cols();
  if (scale.rows() != rows || groups < 1 || cols % groups != 0)
    parts.scale->refuse(str("the scales ", quoted(parts.scale->name), " do not fit ", rows, " x ", cols, " weights"));
  const Packing zeros = parts.zero ? packing_of(*parts.zero, bits, groups, rows) : Packing{};
  const int64_t shape[] = {rows, cols}, group_size = cols / groups, per_word = packing.per_word();
  const int64_t words = ceil_div(cols, per_word);
  return tensor_decoded(shape, parts.codes->raw->file, [=](int64_t row, std::span<float> out) {
    std::vector<float> factors(static_cast<size_t>(groups));
    decode_row(scale, row, factors);
    for (int64_t group = 0; group < groups; ++group) {
      const int32_t zero = zeros.data ? zeros.code(row / per_word * groups + group, row % per_word) : 1 << (bits - 1);
      for (int64_t c = group * group_size; c < (group + 1) * group_size; ++c) {
        const int32_t level = packing.code(row * words + c / per_word, c % per_word) - zero;
        out[static_cast<size_t>(c)] = static_cast<float>(level) * factors[static_cast<size_t>(group)];
      }
    }
  });
}

}  // namespace snug::hf
