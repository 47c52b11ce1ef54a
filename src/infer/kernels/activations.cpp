#include "infer/kernels/activations.hpp"

#include <algorithm>

#include "base/parallel.hpp"

namespace snug::infer {
namespace {

/// Rows from `first` on are all zero.
template <class Values>
void clear_rows(Values& values, int64_t first, int64_t rows) {
  const size_t row = values.size() / static_cast<size_t>(rows);
  std::fill(values.begin() + static_cast<std::ptrdiff_t>(row * static_cast<size_t>(first)), values.end(),
            typename Values::value_type{});
}

}  // namespace

void QuantizedActivations::allocate(Rounding rounding, int64_t rows, int64_t cols) {
  const auto size = [rows](int64_t each) { return static_cast<size_t>(rows * each); };
  const bool bytes = rounding >= Rounding::blocks32;
  const int64_t blocks = cols / block_of(rounding), sums = cols / (rounding == Rounding::blocks32 ? 32 : 16);
  if (!bytes) x_.resize(size(cols));
  if (bytes) q_.resize(size(cols));
  if (bytes) d_.resize(size(blocks));
  if (has_offsets(rounding)) s_.resize(size(blocks));
  if (bytes) sums_.resize(size(sums));
  for (int64_t r = 0; r < rows; ++r)
    rows_.push_back({q_.data() + (bytes ? r * cols : 0), d_.data() + (bytes ? r * blocks : 0),
                     s_.data() + (s_.empty() ? 0 : r * blocks),
                     sums_.data() + (bytes ? r * sums : 0), x_.data() + (bytes ? 0 : r * cols)});
}

void QuantizedActivations::allocate_tiles(const PackedFormat& format, int64_t cols) {
  const Rounding rounding = format.rounding;
  const int64_t padded = tiles_.tiles() * kTileTokens;
  const auto size = [padded](int64_t each) { return static_cast<size_t>(padded * each); };
  if (rounding < Rounding::blocks32) {
    tile_x_.resize(size(cols));
  } else {
    if (format.layout == Layout::bytes) tile_bytes_.resize(size(cols));
    if (format.layout == Layout::pairs) tile_q_.resize(size(cols));
    tile_d_.resize(size(cols / block_of(rounding)));
  }
  if (has_offsets(rounding)) tile_s_.resize(size(cols / 32));
  if (rounding == Rounding::blocks256) tile_sums_.resize(size(cols / 16));
  tiles_.q = tile_q_.data();
  tiles_.bytes = tile_bytes_.data();
  tiles_.d = tile_d_.data();
  tiles_.s = tile_s_.data();
  tiles_.sums = tile_sums_.data();
  tiles_.x = tile_x_.data();
}

void QuantizedActivations::round_all(const MatmulKernels& kernels, const PackedFormat& format,
                                     const Activations& x) {
  const int64_t tokens = x.count();
  parallel_for(tiles_.tiles(), [&](int64_t tile) {
    const int64_t first = tile * kTileTokens;
    for (int64_t t = first; t < std::min(tokens, first + kTileTokens); ++t)
      kernels.round(format.rounding, x.at(t), x.width(), row(t));
    if (format.layout != Layout::rows)
      kernels.interleave(format.rounding, format.layout, &row(first), tile, tiles_);
  });
}

QuantizedActivations::QuantizedActivations(const MatmulKernels& kernels, const PackedFormat& format,
                                           const Activations& x, Use use) {
  const int64_t tokens = x.count(), cols = x.width();
  if (use == Use::dots) {
    allocate(format.rounding, tokens, cols);
    for (int64_t t = 0; t < tokens; ++t) kernels.round(format.rounding, x.at(t), cols, row(t));
    return;
  }
  const int64_t padded = (tokens + kRowTokens - 1) / kRowTokens * kRowTokens;
  allocate(format.rounding, padded, cols);
  clear_rows(q_, tokens, padded);
  clear_rows(d_, tokens, padded);
  clear_rows(s_, tokens, padded);
  clear_rows(sums_, tokens, padded);
  clear_rows(x_, tokens, padded);
  tiles_ = {.tokens = tokens, .cols = cols, .rows = rows_.data()};
  if (format.layout != Layout::rows) allocate_tiles(format, cols);
  round_all(kernels, format, x);
}

}  // namespace snug::infer
