#include "quant/feedback/hessian_factor.hpp"

#include <algorithm>
#include <cmath>

#include "base/parallel.hpp"
#include "base/str.hpp"
#include "quant/kernels/kernels.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

constexpr int64_t kPanel = 32;         // columns eliminated together
constexpr float kFloor = 1e-6f;        // least weight of a column, of the mean
constexpr float kMinPivot = 1e-4f;   // of the column's diagonal: less is mostly rounding error
constexpr double kSymmetric = 1e-3;    // of the geometric mean of both diagonals
constexpr double kFirstShrink = 1e-3;  // where none was asked for and there has to be some

void check(Matrix<const float> h) {
  const auto refuse = [](const std::string& what) {
    throw Error{what, "second moments", "make the imatrix again with second moments"};
  };
  if (h.rows != h.cols) refuse(str("second moments of ", h.rows, " x ", h.cols, " columns"));
  const auto at = [&](int64_t i, int64_t j) { return h.data[i * h.cols + j]; };
  for (int64_t i = 0; i < h.rows; ++i)
    if (!std::isfinite(at(i, i)) || at(i, i) < 0)
      refuse(str("the mean square of column ", i, " is ", at(i, i)));
  for (int64_t i = 0; i < h.rows; ++i)
    for (int64_t j = 0; j < i; ++j) {
      const double scale =
          std::sqrt(static_cast<double>(at(i, i))) * std::sqrt(static_cast<double>(at(j, j)));
      if (!(std::fabs(static_cast<double>(at(i, j)) - at(j, i)) <= kSymmetric * scale))
        refuse(str("the moments of columns ", i, " and ", j, " are ", at(i, j), " and ", at(j, i)));
    }
}

/// Weights of the columns; next to nothing for those that never were anything but 0.
std::vector<float> diagonal_of(Matrix<const float> h) {
  double sum = 0;
  for (int64_t i = 0; i < h.cols; ++i) sum += h.data[i * h.cols + i];
  const auto mean = static_cast<float>(sum / static_cast<double>(std::max<int64_t>(h.cols, 1)));
  const float least = mean * kFloor > 0 ? mean * kFloor : 1;
  std::vector<float> diagonal;
  for (int64_t i = 0; i < h.cols; ++i) diagonal.push_back(std::max(h.data[i * h.cols + i], least));
  return diagonal;
}

void damp(Matrix<const float> h, const std::vector<float>& diagonal, double shrink, HessianFactor& c) {
  const auto keep = static_cast<float>(1 - shrink);
  parallel_ranges(h.cols, 16, [&](int64_t from, int64_t to) {
    for (int64_t i = from; i < to; ++i) {
      float* row = c.moment.data() + i * h.cols;
      for (int64_t j = 0; j < h.cols; ++j)
        row[j] = i == j ? diagonal[static_cast<size_t>(i)]
                        : keep * h.data[std::min(i, j) * h.cols + std::max(i, j)];
    }
  });
}

/// Factors the block of H that starts at column `first`, from its last column to its first. In place:
/// c.feedback holds H and becomes R.
class SpanFactors {
 public:
  SpanFactors(HessianFactor& c, int64_t first)
      : c_(c),
        first_(first),
        n_(c.span_end(first) - first),
        stride_(c.span()),
        rows_(c.feedback.data() + first * stride_),
        pivots_(c.weight.data() + first),
        turned_(static_cast<size_t>(kPanel * n_)) {
    parallel_ranges(n_, 16, [&](int64_t from, int64_t to) {
      for (int64_t i = from; i < to; ++i)
        std::copy_n(c_.moment_row(first + i) + first, n_, rows_ + i * stride_);
    });
  }

  /// False where a pivot is too small to be trusted.
  bool run() {
    for (int64_t end = n_; end > 0;) {
      const int64_t begin = (end - 1) / kPanel * kPanel;
      for (int64_t k = end - 1; k >= begin; --k)
        if (!eliminate(k, begin)) return false;
      subtract_panel(begin, end);
      end = begin;
    }
    return true;
  }

 private:
  float* turned(int64_t k) { return turned_.data() + k % kPanel * n_; }

  /// Column k, and what the columns of its panel before it need.
  bool eliminate(int64_t k, int64_t begin) {
    const float pivot = rows_[k * stride_ + k], inverse = 1 / pivot;
    if (!(pivot > kMinPivot * c_.moment_row(first_ + k)[first_ + k])) return false;
    pivots_[k] = pivot;
    float* column = turned(k);
    for (int64_t i = 0; i < k; ++i) column[i] = rows_[i * stride_ + k] *= inverse;
    for (int64_t i = 0; i < k; ++i) {
      const int64_t from = std::max(i, begin);
      add_scaled_(rows_ + i * stride_ + from, column + from, -column[i] * pivot, k - from);
    }
    return true;
  }

  void subtract_panel(int64_t begin, int64_t end) {
    parallel_ranges(begin, 8, [&](int64_t from, int64_t to) {
      for (int64_t i = from; i < to; ++i)
        for (int64_t k = end - 1; k >= begin; --k)
          add_scaled_(rows_ + i * stride_ + i, turned(k) + i, -turned(k)[i] * pivots_[k], begin - i);
    });
  }

  HessianFactor& c_;
  const int64_t first_, n_, stride_;
  float* rows_;
  float* pivots_;
  std::vector<float> turned_;  // the panel's columns of R, each in one piece
  const AddScaled add_scaled_ = kernels().add_scaled;
};

bool factor(HessianFactor& c) {
  for (int64_t first = 0; first < c.cols; first += HessianFactor::kSpan)
    if (!SpanFactors{c, first}.run()) return false;
  return true;
}

}  // namespace

HessianFactor make_curvature(Matrix<const float> h, double shrink) {
  check(h);
  HessianFactor c;
  c.cols = h.cols;
  c.moment.resize(static_cast<size_t>(h.cols * h.cols));
  c.feedback.resize(static_cast<size_t>(h.cols * c.span()));
  c.weight.resize(static_cast<size_t>(h.cols));
  const std::vector<float> diagonal = diagonal_of(h);
  for (double s = std::clamp(shrink, 0.0, 1.0);; s = std::min(1.0, std::max(kFirstShrink, 2 * s))) {
    damp(h, diagonal, s, c);
    if (factor(c)) return c;  // as it does where s is 1: every pivot is its diagonal
  }
}

double curved_error(std::span<const float> original, std::span<const float> decoded,
                    const HessianFactor& curvature, float along_row) {
  const size_t n = original.size();
  std::vector<double> d(n), slope(n), row_slope(n);  // H d, H w
  for (size_t j = 0; j < n; ++j) d[j] = static_cast<double>(decoded[j]) - original[j];
  for (size_t j = 0; j < n; ++j) {
    const float* row = curvature.moment_row(static_cast<int64_t>(j));
    const double dj = d[j], wj = original[j];
    for (size_t k = 0; k < n; ++k) {
      slope[k] += dj * row[k];
      row_slope[k] += wj * row[k];
    }
  }
  double across = 0, along = 0, energy = 0;
  for (size_t j = 0; j < n; ++j) {
    across += d[j] * slope[j];
    along += d[j] * row_slope[j];
    energy += original[j] * row_slope[j];
  }
  return across + (energy > 0 ? (along_row - 1) * along * along / energy : 0);
}

}  // namespace snug
