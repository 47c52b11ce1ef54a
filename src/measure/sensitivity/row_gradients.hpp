#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/files/saved_numbers.hpp"
#include "infer/row_store.hpp"
#include "infer/rows.hpp"
#include "infer/weight.hpp"
#include "measure/row_sample.hpp"

namespace snug {

/// A tensor as a reverse pass sees it.
struct Sampled {
  const infer::Weight* weight = nullptr;
  RowSample sample;
  std::vector<double> energies;  // of all rows; empty where the sample's chances need no correction
};

/// The gradients of a tensor's sampled rows on one chunk, added up product by product. One thread, but for loops
/// within.
class RowGradients {
 public:
  RowGradients(const Sampled& tensor, int64_t draws);

  /// What ReverseHooks report.
  void add_product(int64_t matrix, const infer::Activations& inputs, const infer::Activations& gradients);
  void add_look_up(std::span<const int32_t> tokens, const infer::Activations& gradients);

  /// From now on they wait in `store`, which lives longer, until they are needed again.
  void rest(infer::RowStore& store);

  int64_t draws() const { return draws_; }
  int64_t width() const { return tensor_.weight->cols; }
  /// Of sampled rows [first, first + count): [draws * count, cols].
  infer::Activations part(int64_t first, int64_t count) const;

  /// All that was added, to be kept for a later start; reading throws Error for what is of another tensor or sample.
  void write(NumberWriter& write) const;
  void read(NumberReader& read);

  /// How much of the tensor the sample stands for; both 1 where it stands for all of it.
  double covered() const { return tensor_.energies.empty() ? 1 : covered_; }
  double all() const { return tensor_.energies.empty() ? 1 : all_; }

 private:
  infer::Activations& rows();
  void add_energies(int64_t matrix, const infer::Activations& gradients);

  const Sampled& tensor_;
  int64_t draws_;
  infer::Activations rows_;  // [draws * sampled rows, cols],
  std::shared_ptr<infer::StoredRows> stored_;
  bool rests_ = false;       // or in stored_
  double covered_ = 0, all_ = 0;
};

}  // namespace snug
