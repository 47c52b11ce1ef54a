#pragma once

#include <cstdint>

namespace snug {

/// Raised when the rule below changes: part of every measurement's key.
constexpr uint32_t kSamplerVersion = 1;

/// The order in which a tensor's rows are measured: a permutation of 0 .. rows-1 whose every prefix is spread evenly
/// over the rows, and so over the experts of a 3-D tensor (a Weyl lattice: a stride near rows / golden ratio, coprime
/// to rows). The same for the same number of rows, everywhere.
class RowOrder {
 public:
  explicit RowOrder(int64_t rows);
  int64_t operator[](int64_t k) const;  // the k-th row to measure, 0 <= k < rows

 private:
  int64_t rows_, stride_, first_;
};

/// The sum of errors x and energies y over the rows measured so far, and what they say of the whole tensor.
/// Ratio estimator rho = sum x / sum y, with the finite-population correction: exact once every row was measured.
class RatioEstimate {
 public:
  explicit RatioEstimate(int64_t population) : population_(population) {}

  void add(double error, double energy);
  int64_t count() const { return count_; }
  double ratio() const { return sum_y_ > 0 ? sum_x_ / sum_y_ : 0.0; }
  double standard_error() const;  // of ratio(), absolute; 0 once all rows are in
  double mean_energy() const { return count_ ? sum_y_ / static_cast<double>(count_) : 0.0; }

 private:
  int64_t population_, count_ = 0;
  double sum_x_ = 0, sum_y_ = 0, sum_xx_ = 0, sum_xy_ = 0, sum_yy_ = 0;
};

}  // namespace snug
