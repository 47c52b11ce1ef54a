#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "snug/model.hpp"
#include "imatrix/imatrix_file.hpp"

namespace snug {

/// The input that stands for groups of rows of a tensor.
std::string rows_input(std::string_view weight_tensor);

/// What second-order rounding needs of one input: the sum over tokens of x xᵀ, once for every expert of a
/// 3-D tensor. Tensors that read the same activations (q, k and v of a block) share it.
struct Hessian {
  std::string input;                   // named after the first weight tensor that reads it
  std::vector<std::string> tensors{};  // all weight tensors that read it, `input` first
  int64_t dim = 0, mats = 1;
  std::vector<float> counts{};        // [mats] tokens summed; 0 for an expert that was never hit
  std::span<const float> sums{};      // [mats, dim, dim], symmetric; a view
  std::vector<int32_t> row_groups{};  // of a tensor's rows: the matrix of each row; else empty
  std::vector<float> divisors{};      // [dim] or [mats, dim]: what the inputs are divided by since; empty: 1

  std::span<const float> matrix(int64_t mat) const {
    return sums.subspan(static_cast<size_t>(mat * dim * dim), static_cast<size_t>(dim * dim));
  }
};

/// E[x xᵀ] of a matrix, [dim, dim]: sums / count, divided by `divisors`; all zero where the count is. A moment of one matrix serves
/// every matrix of a 3-D tensor. Throws Error where the sums are not finite, not symmetric, or have a
/// negative diagonal.
std::vector<float> mean_moment(const Hessian& moment, int64_t mat);

/// The second moments of an imatrix written by `snug imatrix --collect-hessians`: beside its in_sum2 records lie, for
/// each input, `<input>.in_moment` F32 [dim, dim] or [dim, dim, mats] and `<input>.moment_counts` F32 [mats].
/// The keys imatrix.moment_tensors and imatrix.moment_inputs, string arrays of the same length, say which
/// weight tensor reads which input. Other readers pass all of it over.
///
/// Beside the output matrix stands `<tensor>.rows`, an input of its own: one matrix for each group of the
/// tensor's rows (measure/head_importance.hpp), and `<tensor>.rows.row_groups` I32 [rows].
class Hessians {
 public:
  /// Maps the file; matrices are read when they are used. An imatrix without moments, a legacy one included,
  /// has none. Throws Error for a file that contradicts itself.
  explicit Hessians(const std::filesystem::path& path);

  bool empty() const { return moments_.empty(); }
  const std::map<std::string, Hessian, std::less<>>& inputs() const { return moments_; }  // by name
  const Hessian* find(std::string_view weight_tensor) const;       // nullptr: none
  const Hessian* find_rows(std::string_view weight_tensor) const;  // by groups of rows; nullptr: none

  /// From now on of inputs that are divided by `by`: [dim], or [mats, dim], the same for all tensors that read them.
  /// Nothing where there are none. A moment that is one for all experts is no tensor's any more if theirs differ.
  void divide_inputs(std::string_view weight_tensor, std::span<const float> by);

 private:
  void read();
  void read_matrix(Hessian& moment) const;
  void read_row_groups(Hessian& moment) const;

  std::unique_ptr<ModelSource> file_;  // none for a legacy file
  std::map<std::string, Hessian, std::less<>> moments_;
  std::map<std::string, std::string, std::less<>> input_of_;
};

/// An imatrix with second moments, in the form above. Throws Error where counts or sums do not have their
/// size, or a name is longer than GGUF readers take.
void write_imatrix(const std::filesystem::path& path, const Imatrix& imatrix,
                   std::span<const Hessian> moments, Existing existing);

/// The same where the sums lie elsewhere: source(moment, mat) gives a matrix [dim, dim], asked for in order.
using MatrixSource = std::function<std::span<const float>(const Hessian& moment, int64_t mat)>;
void write_imatrix(const std::filesystem::path& path, const Imatrix& imatrix,
                   std::span<const Hessian> moments, const MatrixSource& source, Existing existing);

}  // namespace snug
