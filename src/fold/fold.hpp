#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "fold/pairs.hpp"
#include "imatrix/hessian.hpp"
#include "imatrix/importance.hpp"
#include "snug/model.hpp"

namespace snug {

/// What the weights of a model are multiplied with so that it computes the same and quantizes better. Weights stay in
/// the type of their source: with factors that are powers of two not a bit of an output changes, with others what
/// rounding to that type changes.
class Fold {
 public:
  /// Factors [matrices * channels], finite and above zero, that the pair's readers are multiplied with and its writer is
  /// divided by. Each pair once.
  void add(const FoldPair& pair, std::span<const float> factors);

  bool empty() const { return scales_.empty(); }
  std::vector<std::string> tensors() const;  // that it changes, sorted

  /// The same model with weights that are scaled when they are read. It shares the model's files.
  ModelSource of(const ModelSource& model) const;

  /// Statistics of the readers' inputs as they are then: divided by what the columns are multiplied with.
  void divide_inputs(Importance& importance) const;
  void divide_inputs(Hessians& moments) const;

 private:
  /// Of one tensor; empty: 1.
  struct Scale {
    std::vector<float> rows;     // of each matrix, or of all one after another
    std::vector<float> columns;  // the same for all matrices, or those of one matrix after another's
    std::vector<float> values;   // of a vector, or of the vectors of all experts
  };

  static void scale(const Scale& scale, const Tensor& tensor, int64_t row, std::span<float> weights);

  std::map<std::string, Scale, std::less<>> scales_;
};

/// Factors for a norm, such that its quotient is what a 16-bit file can hold of it: the norm loses nothing then.
/// `plus_one`: files hold it without the 1 that is added when it is used.
std::vector<float> storable(const Tensor& norm, std::span<const float> factors, bool plus_one);

}  // namespace snug
