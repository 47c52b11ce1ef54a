#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "snug/model.hpp"
#include "imatrix/imatrix_file.hpp"
#include "snug/format.hpp"

namespace snug {

/// Column statistics of one tensor: per expert (mats > 1) or one matrix.
struct TensorImportance {
  int64_t cols = 0, mats = 1;
  std::vector<float> mean_square;  // [mats, cols]: in_sum2 / count
  std::vector<float> mean;         // [mats, cols]: in_sum / count; empty where the file has none
  std::vector<float> counts;       // [mats] tokens seen; for experts their share of the work
  int64_t shrunk = 0;              // experts never hit, given the mean of the others

  /// What encoders and errors of matrix `mat` use. Statistics of one matrix serve every matrix of a 3-D
  /// tensor.
  ColumnWeights columns(int64_t mat) const;
  /// Share of the tokens that matrix `mat` sees, relative to the mean over matrices (1 for a single matrix).
  double token_share(int64_t mat) const;
};

/// What row `row` of `tensor` is weighed with where the model as a whole counts (along_row = kAlongRow), with
/// data or without (nullptr).
ColumnWeights columns_of(const TensorImportance* importance, const Tensor& tensor, int64_t row);
/// Its expert's share of the tokens, 1 without experts or data.
double token_share_of(const TensorImportance* importance, const Tensor& tensor, int64_t row);

/// An imatrix file: GGUF (in_sum2, counts, in_sum where present) or legacy .dat (reference §5).
class Importance {
 public:
  static Importance load(const std::filesystem::path& path);
  /// From sums in memory; `path` is for messages. Throws Error where sums contradict each other.
  static Importance from(Imatrix imatrix, const std::filesystem::path& path);

  const TensorImportance* find(
      std::string_view tensor) const;  // nullptr: no data; callers weigh uniformly and say so
  const std::filesystem::path& path() const { return path_; }
  const std::map<std::string, TensorImportance, std::less<>>& tensors() const { return tensors_; }
  const std::vector<std::string>& datasets() const { return datasets_; }
  int64_t chunks() const { return chunks_; }
  const std::string& undivided_digest() const { return undivided_digest_; }  // empty where inputs were never divided

  /// What does not fit together. Throws Error naming both files where dimensions differ. A legacy file does
  /// not say where one expert ends and the next begins: this divides them, as the model's shapes say.
  struct Match {
    std::vector<std::string> unknown;  // in the imatrix, not in the model
    std::vector<std::string> without;  // quantizable in the model, no data
    std::vector<std::string> shrunk;   // some experts never hit
  };
  Match check_against(const ModelSource& model);

  /// From now on of inputs that are divided by `by`: [cols], or [experts, cols]. Nothing where the tensor has no data.
  void divide_inputs(std::string_view tensor, std::span<const float> by);

 private:
  std::filesystem::path path_;
  std::map<std::string, TensorImportance, std::less<>> tensors_;
  std::vector<std::string> datasets_;
  int64_t chunks_ = 0;
  bool legacy_ = false;
  std::string undivided_digest_;
};

/// Of all tensors and values, before inputs were divided: of the file.
std::string importance_digest(const Importance& importance);

}  // namespace snug
