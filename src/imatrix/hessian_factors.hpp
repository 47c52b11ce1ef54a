#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "snug/model.hpp"
#include "imatrix/hessian.hpp"
#include "quant/feedback/hessian_factor.hpp"

namespace snug {

/// Second moments of a model's inputs made ready for encoders, when a tensor needs them. The last ones are
/// kept, where memory allows: tensors that read the same input tend to follow each other, and those of a small model are
/// encoded again and again. For one thread at a time.
class HessianFactors {
 public:
  explicit HessianFactors(const Hessians& moments) : moments_(moments) {}

  /// For matrix `mat` (expert) of the tensor. Null where the file has nothing for it, and for an expert that
  /// no token reached. Throws Error where the moments do not fit the tensor or are no moments.
  std::shared_ptr<const HessianFactor> find(const Tensor& tensor, int64_t mat);

  /// The rows of a tensor in sets that share a curvature: those of a matrix, or of a group of rows where the
  /// file has moments of groups (the output matrix). In each set rows go up.
  std::vector<std::vector<int64_t>> row_sets(const Tensor& tensor) const;
  /// For a row, as find(); its group's where there are groups.
  std::shared_ptr<const HessianFactor> find_row(const Tensor& tensor, int64_t row);

  /// How far the moments of `dim` inputs over so many tokens are drawn towards their diagonal (0 to 1). A
  /// part always, because other text has other moments; more where tokens are few beside `dim`.
  static double shrink(int64_t dim, double tokens);

 private:
  const Hessian* row_groups(const Tensor& tensor) const;
  std::vector<float> group_moment(const Hessian& whole, const Hessian& rows, int64_t group) const;
  std::shared_ptr<const HessianFactor> keep(const Hessian& moment, int64_t mat, double shrink,
                                        const std::function<std::vector<float>()>& mean);

  struct Kept {
    std::string input;
    int64_t mat, dim;
    double shrink;
    std::shared_ptr<const HessianFactor> curvature;
  };

  const Hessians& moments_;
  std::list<Kept> kept_;  // last used first
};

/// The rows of each matrix of a tensor.
std::vector<std::vector<int64_t>> matrix_rows(const Tensor& tensor);

}  // namespace snug
