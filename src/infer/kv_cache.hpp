#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "infer/rows.hpp"
#include "infer/zeroed.hpp"
#include "snug/format.hpp"

namespace snug::infer {

/// What a layer keeps of the tokens it has seen.
struct LayerCacheShape {
  int64_t key_width = 0;     // kv heads * head size; 0: no keys and values of its own
  int64_t value_width = 0;   // 0 with a key width: values are the head of the key row (MLA)
  int64_t window = 0;        // tokens a query sees, itself included; 0: all
  int64_t conv_values = 0;   // recurrent layers: tail of the convolution's input,
  int64_t state_values = 0;  // and the state itself
};

/// Keys and values of one layer: one row each per position, in a ring where the layer has a window.
class KvCache {
 public:
  KvCache() = default;
  /// `format`: f32, f16 or q8_0 (any that can encode). cells > 0; position p lives in cell p % cells. Takes
  /// memory as cells are filled.
  KvCache(const Format& format, const LayerCacheShape& memory, int64_t cells);

  /// Of a token with a value that is not finite all values become NaN (bytes of 0xff in every such format):
  /// encoders would make numbers of it, and a query would not notice a key.
  void store(int64_t position, std::span<const float> key, std::span<const float> value);
  /// Elements [first, first + count) of a row as f32: in place where the cache holds f32, else through
  /// `scratch`.
  const float* key(int64_t position, int64_t first, int64_t count, float* scratch) const;
  const float* value(int64_t position, int64_t first, int64_t count, float* scratch) const;
  /// The same of `rows` positions after each other, to [rows][count].
  void copy_keys(int64_t position, int64_t rows, int64_t first, int64_t count, float* to) const;
  void copy_values(int64_t position, int64_t rows, int64_t first, int64_t count, float* to) const;

  int64_t cells() const { return cells_; }
  /// Of all cells, before there is a cache.
  static int64_t bytes_of(const Format& format, const LayerCacheShape& memory, int64_t cells);
  int64_t bytes() const { return static_cast<int64_t>(keys_.size() + values_.size()); }
  /// All cells as they are, bytes() of them, to be kept elsewhere; and back, from a cache of the same shape.
  void copy_to(std::span<std::byte> out) const;
  void restore(std::span<const std::byte> cells);

 private:
  const float* read(const ZeroedBytes& rows, int64_t row_bytes, int64_t position, int64_t first,
                    int64_t count, float* scratch) const;
  void copy(const ZeroedBytes& from, int64_t row_bytes, int64_t position, int64_t rows, int64_t first,
            int64_t count, float* to) const;

  const Format* format_ = nullptr;
  int64_t cells_ = 0, key_bytes_ = 0, value_bytes_ = 0;
  ZeroedBytes keys_, values_;
};

/// State of a recurrent layer, started at zero.
struct RecurrentState {
  std::vector<float> conv, state;
};

}  // namespace snug::infer
