#include "measure/sample.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace snug {
namespace {

__extension__ using Wide = __int128;

}  // namespace

RowOrder::RowOrder(int64_t rows) : rows_(rows), stride_(1), first_(rows / 2) {
  if (rows < 3) return;
  constexpr double kInverseGoldenRatio = 0.6180339887498949;
  stride_ = std::max<int64_t>(1, std::llround(static_cast<double>(rows) * kInverseGoldenRatio));
  while (std::gcd(stride_, rows_) != 1) ++stride_;
}

int64_t RowOrder::operator[](int64_t k) const {
  return static_cast<int64_t>((static_cast<Wide>(k) * stride_ + first_) % rows_);
}

void RatioEstimate::add(double error, double energy) {
  ++count_;
  sum_x_ += error;
  sum_y_ += energy;
  sum_xx_ += error * error;
  sum_xy_ += error * energy;
  sum_yy_ += energy * energy;
}

double RatioEstimate::standard_error() const {
  if (count_ >= population_ || sum_y_ <= 0) return 0.0;
  if (count_ < 2) return std::numeric_limits<double>::infinity();
  const auto n = static_cast<double>(count_);
  const double rho = ratio();
  const double residual = std::max(0.0, sum_xx_ - 2 * rho * sum_xy_ + rho * rho * sum_yy_);
  const double unseen = 1.0 - n / static_cast<double>(population_);
  return std::sqrt(unseen * residual / (n * (n - 1))) / (sum_y_ / n);
}

}  // namespace snug
