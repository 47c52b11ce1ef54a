#include "calibrate/moment_sums.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <memory>

#include "base/parallel.hpp"
#include "infer/exact/exact_kernels.hpp"

namespace snug {
namespace {

constexpr int64_t kPanel = infer::kPanelRows;

/// [dim, stride]: the rows' transpose, padded with zeros to whole lanes.
std::vector<float> transposed(Matrix<const float> rows, int64_t stride) {
  std::vector<float> out(static_cast<size_t>(rows.cols * stride));
  parallel_ranges(rows.cols, kPanel, [&](int64_t begin, int64_t end) {
    for (int64_t t = 0; t < rows.rows; ++t)
      for (int64_t j = begin; j < end; ++j)
        out[static_cast<size_t>(j * stride + t)] = rows.data[t * rows.cols + j];
  });
  return out;
}

}  // namespace

void MomentSums::allocate() {
  counts.assign(static_cast<size_t>(mats), 0);
  sums.assign(static_cast<size_t>(mats * dim * dim), 0.0f);
}

void MomentSums::add(int64_t mat, Matrix<const float> rows) {
  const int64_t n = dim, stride = (rows.rows + 7) / 8 * 8;
  const std::vector<float> columns = transposed(rows, stride);
  float* sum = sums.data() + (mat - first) * n * n;
  const infer::ExactKernels& kernels = infer::exact_kernels();
  // A panel of rows of the matrix, from its diagonal on: the dot products of those columns with all later
  // ones.
  parallel_ranges(n, kPanel, [&](int64_t begin, int64_t end) {
    const int64_t width = n - begin;
    const auto products = std::make_unique<float[]>(static_cast<size_t>(width * kPanel));
    kernels.panel(columns.data() + begin * stride, end - begin, columns.data() + begin * stride, width,
                  stride, products.get(), kPanel);
    for (int64_t r = begin; r < end; ++r)
      for (int64_t j = r; j < n; ++j) sum[r * n + j] += products[(j - begin) * kPanel + (r - begin)];
  });
  counts[static_cast<size_t>(mat - first)] += rows.rows;
}

bool MomentSums::is_sound() const {
  int64_t values = 0;
  if (dim < 1 || mats < 1 || first < 0 || __builtin_mul_overflow(dim, dim, &values) ||
      __builtin_mul_overflow(values, mats, &values))
    return false;
  return std::ssize(sums) == values && std::ssize(counts) == mats &&
         std::ranges::all_of(sums, [](float s) { return std::isfinite(s); }) &&
         std::ranges::all_of(counts, [](int64_t n) { return n >= 0; });
}

void MomentSums::mirror() {
  for (int64_t mat = 0; mat < mats; ++mat) {
    float* sum = sums.data() + mat * dim * dim;
    parallel_for(
        dim,
        [&](int64_t r) {
          for (int64_t j = 0; j < r; ++j) sum[r * dim + j] = sum[j * dim + r];
        },
        kPanel);
  }
}

}  // namespace snug
