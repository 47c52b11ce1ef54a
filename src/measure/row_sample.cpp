#include "measure/row_sample.hpp"

#include <algorithm>
#include <numeric>

#include "base/digest.hpp"
#include "measure/sample.hpp"
#include "model/roles.hpp"

namespace snug {
namespace {

constexpr int64_t kMinRows = 256, kMaxRows = 2048;
constexpr int64_t kWeights = int64_t{1} << 17;  // looked at, of a tensor with rows that are not very long
/// The same where rows act in step: heads are few, and no two are alike.
constexpr int64_t kMinGroups = 4, kWeightsOfGroups = int64_t{1} << 20;

/// In proportion to sizes, with the sum `rows`; those that would pass 1 are certain, and the others share the rest.
std::vector<double> chances(std::span<const double> sizes, int64_t rows) {
  std::vector<double> chance(sizes.size());
  for (bool more = true; more;) {
    double rest = 0, left = static_cast<double>(rows);
    for (size_t r = 0; r < sizes.size(); ++r) (chance[r] >= 1 ? left : rest) += chance[r] >= 1 ? -1 : sizes[r];
    const double by = rest > 0 ? std::max(0.0, left) / rest : 0;
    more = false;
    for (size_t r = 0; r < sizes.size(); ++r) {
      if (chance[r] >= 1) continue;
      chance[r] = std::min(1.0, sizes[r] * by);
      more = more || chance[r] >= 1;
    }
  }
  return chance;
}

}  // namespace

Digest RowSample::digest() const {
  return Hasher{}.add_array<int64_t>(rows).add_array<int64_t>(groups).add_array<double>(weights).finish();
}

int64_t sample_rows(int64_t cols, int64_t group_rows) {
  const int64_t weights = group_rows > 1 ? kWeightsOfGroups : kWeights;
  return std::clamp(weights / std::max<int64_t>(1, cols), kMinRows, kMaxRows);
}

int64_t rows_in_step(const infer::Model& model, const Tensor& tensor) {
  const Role role = role_of(tensor.name);
  const int layer = layer_of(tensor.name);
  if (layer < 0 || layer >= model.layers() || tensor.experts() > 1) return 1;
  const int64_t q = model.hparams().heads[static_cast<size_t>(layer)];
  const int64_t kv = model.hparams().kv_heads[static_cast<size_t>(layer)];
  int64_t heads = 0;
  if (role == Role::attn_q) heads = q;
  if (role == Role::attn_k || role == Role::attn_v) heads = kv;
  if (role == Role::attn_qkv && tensor.rows() == (q + 2 * kv) * model.hparams().key_dim)  // and no delta net's
    heads = q + 2 * kv;
  return heads > 0 && tensor.rows() % heads == 0 ? tensor.rows() / heads : 1;
}

RowSample spread_sample(const Tensor& tensor, int64_t group_rows, int64_t rows) {
  RowSample sample;
  sample.population = tensor.rows();
  const int64_t groups = tensor.rows() / group_rows;
  int64_t taken = std::max((rows + group_rows - 1) / group_rows, kMinGroups);
  if (taken * 5 >= groups * 4) taken = groups;  // nearly all: all, and no error of sampling
  std::vector<int64_t> chosen;
  const RowOrder order{groups};
  for (int64_t i = 0; i < taken; ++i) chosen.push_back(order[i]);
  std::ranges::sort(chosen);
  for (size_t g = 0; g < chosen.size(); ++g)
    for (int64_t r = 0; r < group_rows; ++r) {
      sample.rows.push_back(chosen[g] * group_rows + r);
      sample.groups.push_back(static_cast<int64_t>(g));
    }
  sample.weights.assign(chosen.size(), static_cast<double>(groups) / static_cast<double>(taken));
  return sample;
}

RowSample proportional_sample(std::span<const double> sizes, int64_t rows) {
  const std::vector<double> chance = chances(sizes, rows);
  RowSample sample;
  sample.population = static_cast<int64_t>(sizes.size());
  double passed = 0.5;  // systematic: a row is taken where the sum of chances passes a whole number
  for (size_t r = 0; r < chance.size(); ++r) {
    const bool taken = chance[r] >= 1 || static_cast<int64_t>(passed + chance[r]) > static_cast<int64_t>(passed);
    if (chance[r] < 1) passed += chance[r];
    if (!taken) continue;
    sample.rows.push_back(static_cast<int64_t>(r));
    sample.groups.push_back(static_cast<int64_t>(sample.weights.size()));
    sample.weights.push_back(1 / chance[r]);
  }
  return sample;
}

}  // namespace snug
