#pragma once

#include <deque>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "infer/gathered.hpp"
#include "infer/hparams.hpp"
#include "infer/weight.hpp"
#include "snug/model.hpp"

namespace snug::infer {

/// The matrices of a model by name; addresses stay.
using WeightMap = std::map<std::string, Weight, std::less<>>;

/// Hands the file's tensors to an architecture: checks every shape, and at the end that none was left over,
/// because a tensor nobody asked for is a feature nobody computes. Throws Error naming file and tensor.
class Loader {
 public:
  /// `gathered` keeps the matrices whose rows had to be brought together.
  Loader(const ModelSource& file, WeightMap& weights, std::deque<Gathered>& gathered)
      : file_{file}, weights_{weights}, gathered_{gathered} {}

  bool has(const std::string& name) const { return file_.find(name) != nullptr; }
  const Tensor& tensor(const std::string& name) const;

  /// `name` is the tensor's full name. The same tensor may be asked for twice.
  const Weight* matrix(const std::string& name, int64_t cols, int64_t rows, int64_t matrices = 1);
  /// `base` + ".weight", with ".bias", ".scale" where the file has them.
  Linear linear(const std::string& base, int64_t cols, int64_t rows, int64_t matrices = 1);
  Linear linear_if(const std::string& base, int64_t cols, int64_t rows, int64_t matrices = 1);
  /// A small tensor as f32, all dimensions flattened; empty where vector_if finds none.
  std::vector<float> vector(const std::string& name, int64_t count);
  std::vector<float> vector_if(const std::string& name, int64_t count);

  void skip(std::string_view prefix);  // tensors whose names start with it are not needed
  void check_all_used() const;

 private:
  void place(const Tensor& tensor, Weight& weight);

  const ModelSource& file_;
  WeightMap& weights_;
  std::deque<Gathered>& gathered_;
  std::set<std::string, std::less<>> used_;
};

/// "blk.<layer>.<base>"
std::string in_block(int64_t layer, std::string_view base);

}  // namespace snug::infer
