#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "snug/model.hpp"

// Where GGUF's rows and columns lie in a file of MLX.
namespace snug::mlx {

/// Neighbours that stay together: run number i begins at starts[i]. Nothing moves where there are none.
struct Runs {
  int64_t length = 0;
  std::vector<int64_t> starts;

  int64_t place(int64_t i) const {
    return length == 0 ? i : starts[static_cast<size_t>(i / length)] + i % length;
  }
};

/// Where the rows of a tensor lie in the file of MLX. Rows count through all matrices of a stack of experts.
struct RowOrder {
  /// Of every `matrix` rows of the source the `count` from `first` on are the module's; the others are
  /// another's.
  int64_t matrix = 1, first = 0, count = 1;
  /// Rows of a head that GGUF keeps as pairs of neighbours and MLX as halves; 0 where both have one order.
  int64_t head = 0;
  /// Of all rows, where they lie in another order than any of these; else nullptr.
  std::shared_ptr<const Runs> runs = nullptr;

  bool moves() const { return head > 0 || runs; }
  /// The module's row that a row of the source becomes; -1 where it is none of the module's.
  int64_t place(int64_t source_row) const;
};

/// In what order GGUF has rows that mlx_lm has in another.
enum class Order : uint8_t {
  same,
  query_pairs,  // a head's rows as pairs, of llama
  key_pairs,
  delta_qkv,     // of gated delta nets: behind the keys the value heads, first the first of every key head
  delta_values,  // value heads by themselves
  delta_heads,   // one row, or one value, of every value head
  next_qkv,      // of Qwen3-Next: all queries, all keys, all values; mlx_lm has all of a key head together,
  next_z,        // with the gates, which GGUF has apart
  mla_keys,      // of DeepSeek V2: the keys' half of a head, transposed
  mla_values,    // the values' half; mlx_lm has both of a head together
};

/// The sizes that those orders depend on; 0 where the model has no such part.
struct HeadSizes {
  int64_t heads = 0, kv_heads = 0;
  int64_t key_heads = 0, value_heads = 0, key_dim = 0, value_dim = 0;  // of delta nets
  int64_t mla_key = 0, mla_value = 0;                                  // without the rotated part

  explicit HeadSizes(const ModelSource& model);
  int64_t values_per_key() const { return value_heads / key_heads; }
};

/// The way of a tensor's rows, or of a vector's values, and the rows that the module has of it and others
/// together. Throws Error naming the tensor where its rows are not as many as the heads make.
struct PlacedRows {
  std::shared_ptr<const Runs> runs;
  int64_t module_rows = 0;
};
PlacedRows placed_rows(Order order, const HeadSizes& sizes, const Tensor& tensor);

/// The same of the columns that read value heads: of a matrix whose rows are `columns` long.
Runs value_columns(const HeadSizes& sizes, const Tensor& tensor);

}  // namespace snug::mlx
