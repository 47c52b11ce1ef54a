#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <string>

#include "gguf/reader.hpp"
#include "measure/second_moment.hpp"
#include "quant/curvature.hpp"

namespace snug {

/// Second moments of a model's inputs made ready for encoders, when a tensor needs them. The last ones are
/// kept: tensors that read the same input tend to follow each other. For one thread at a time.
class Curvatures {
 public:
  explicit Curvatures(const SecondMoments& moments) : moments_(moments) {}

  /// For matrix `mat` (expert) of the tensor. Null where the file has nothing for it, and for an expert that
  /// no token reached. Throws Error where the moments do not fit the tensor or are no moments.
  std::shared_ptr<const Curvature> find(const gguf::Tensor& tensor, int64_t mat);

  /// How far the moments of `dim` inputs over so many tokens are drawn towards their diagonal (0 to 1). A
  /// part always, because other text has other moments; more where tokens are few beside `dim`.
  static double shrink(int64_t dim, double tokens);

 private:
  struct Kept {
    std::string input;
    int64_t mat;
    double shrink;
    std::shared_ptr<const Curvature> curvature;
  };

  const SecondMoments& moments_;
  std::list<Kept> kept_;  // last used first
};

}  // namespace snug
