#include "infer/matmul.hpp"

#include <algorithm>
#include <cstring>
#include <memory>

#include "base/parallel.hpp"
#include "infer/exact_kernels.hpp"

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

}  // namespace

void decode_row(const Weight& w, int64_t matrix, int64_t row, std::span<float> out) {
  w.format->decode(w.row(matrix, row), out);
}

Rows matmul(const Weight& w, int64_t matrix, const Rows& x, Compute) {
  return matmul_exact(w, matrix, x);
}

}  // namespace snug::infer
