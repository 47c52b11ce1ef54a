#include "infer/matmul.hpp"

#include <algorithm>
#include <cstring>
#include <memory>

#include "base/parallel.hpp"
#include "infer/exact_kernels.hpp"
#include "infer/packed/activations.hpp"

namespace snug::infer {
namespace {

int64_t padded(int64_t n) {
  return (n + 7) / 8 * 8;
}

/// x with its rows padded with zeros to a multiple of 8; x itself where they are one.
const Rows& padded_rows(const Rows& x, Rows& storage) {
  if (x.width() % 8 == 0) return x;
  storage = Rows(x.count(), padded(x.width()));
  for (int64_t t = 0; t < x.count(); ++t) std::copy_n(x.at(t), x.width(), storage.at(t));
  return storage;
}

Rows matmul_exact(const Weight& w, int64_t matrix, const Rows& x) {
  Rows y(x.count(), w.rows), storage;
  const Rows& in = padded_rows(x, storage);
  const int64_t stride = padded(w.cols);
  const ExactKernels& kernels = exact_kernels();
  parallel_ranges(w.rows, kPanelRows, [&](int64_t begin, int64_t end) {
    // Every task decodes its rows once, for all tokens.
    const auto rows = std::make_unique<float[]>(static_cast<size_t>((end - begin) * stride));
    for (int64_t r = begin; r < end; ++r)
      decode_row(w, matrix, r, {rows.get() + (r - begin) * stride, static_cast<size_t>(w.cols)});
    kernels.panel(rows.get(), end - begin, in.at(0), x.count(), stride, y.at(0) + begin, w.rows);
  });
  return y;
}

// From this many tokens on, unpacking rows once for all of them beats a dot product per token.
constexpr int64_t kProductTokens = 5;
constexpr int64_t kDotBytes = 64 << 10;  // of weights to a task: enough to pay for handing it out

Rows multiply_by_rows(const PackedFormat& format, const Weight& w, int64_t matrix, const Rows& x) {
  Rows y(x.count(), w.rows);
  const Activations in{packed_kernels(), format, x, Activations::Use::dots};
  const int64_t row_bytes = w.format->row_bytes(w.cols);
  const int64_t fair = (w.rows + 4 * threads() - 1) / (4 * threads());
  parallel_ranges(w.rows, std::max<int64_t>(1, std::min(kDotBytes / row_bytes, fair)),
                  [&](int64_t begin, int64_t end) {
                    const PackedRows rows{w.row(matrix, begin), row_bytes, end - begin, w.cols};
                    for (int64_t t = 0; t < x.count(); ++t) format.dots(rows, in.row(t), y.at(t) + begin);
                  });
  return y;
}

Rows multiply_by_tiles(const PackedFormat& format, const Weight& w, int64_t matrix, const Rows& x) {
  Rows y(x.count(), w.rows);
  const Activations in{packed_kernels(), format, x, Activations::Use::product};
  parallel_ranges(w.rows, kProductRows, [&](int64_t begin, int64_t end) {
    const auto scratch =
        std::make_unique_for_overwrite<float[]>(static_cast<size_t>(scratch_size(x.count())));
    format.product({w.row(matrix, begin), w.format->row_bytes(w.cols), end - begin, w.cols}, in.tiles(),
                   scratch.get(), y.at(0) + begin, w.rows);
  });
  return y;
}

}  // namespace

void decode_row(const Weight& w, int64_t matrix, int64_t row, std::span<float> out) {
  w.format->decode(w.row(matrix, row), out);
}

Rows matmul(const Weight& w, int64_t matrix, const Rows& x, Compute compute) {
  if (compute == Compute::fast && x.count() > 0)
    if (const PackedFormat* format = packed_kernels().find(w.format->id))
      return x.count() < kProductTokens ? multiply_by_rows(*format, w, matrix, x)
                                        : multiply_by_tiles(*format, w, matrix, x);
  return matmul_exact(w, matrix, x);
}

}  // namespace snug::infer
