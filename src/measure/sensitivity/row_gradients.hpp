#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "infer/rows.hpp"
#include "infer/weight.hpp"
#include "measure/format_errors.hpp"
#include "measure/row_sample.hpp"

namespace snug {

/// A tensor as a reverse pass sees it: which rows, and what formats do to them.
struct Sampled {
  const infer::Weight* weight = nullptr;
  RowSample sample;
  std::vector<double> energies;  // of all rows; empty where the sample's chances need no correction
  FormatErrors errors;
};

/// What one chunk says of one tensor.
struct ChunkSums {
  std::vector<double> squares;  // of each format: SensitivityRecord::sum
  double covered = 1, all = 1;
};

/// The gradients of a tensor's sampled rows on one chunk, added up product by product. One thread, but for loops
/// within.
class RowGradients {
 public:
  RowGradients(const Sampled& tensor, int64_t draws);

  /// What ReverseHooks report.
  void add_product(int64_t matrix, const infer::Activations& inputs, const infer::Activations& gradients);
  void add_look_up(std::span<const int32_t> tokens, const infer::Activations& gradients);

  ChunkSums sums() const;

 private:
  void add_energies(int64_t matrix, const infer::Activations& gradients);

  const Sampled& tensor_;
  int64_t draws_;
  infer::Activations rows_;  // [draws * sampled rows, cols]
  double covered_ = 0, all_ = 0;
};

}  // namespace snug
