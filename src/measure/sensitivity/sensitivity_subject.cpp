#include "measure/sensitivity/sensitivity_subject.hpp"

#include <algorithm>
#include <bit>

#include "base/digest.hpp"
#include "eval/divergence.hpp"
#include "model/roles.hpp"

namespace snug {
namespace {

/// Of a matrix with a row for each token: how much of the sample goes to tokens whether they come or not.
constexpr double kShareOfAll = 0.25;

constexpr double kMinCovered = 1e-120;  // what can be divided by

}  // namespace

Digest key_of(const Subject& subject, const Digest& contents, const SensitivityOptions& options) {
  Hasher hasher;
  hasher.add("sensitivity").add(uint64_t{kSensitivityVersion}).add(std::bit_cast<uint32_t>(kAlongRow));
  hasher.add_array<uint8_t>(contents.bytes).add(subject.tensor->name);
  hasher.add(static_cast<uint64_t>(options.draws)).add(static_cast<uint64_t>(options.effort));
  hasher.add_array<uint8_t>(subject.sampled.sample.digest().bytes);
  if (const TensorImportance* importance = subject.importance)
    hasher.add_array<float>(importance->mean_square)
        .add_array<float>(importance->mean)
        .add_array<float>(importance->counts);
  return hasher.finish();
}

std::pair<int, int> stages_of(const infer::Model& model, std::string_view tensor) {
  const int layer = layer_of(tensor), head = model.layers();
  if (layer >= 0) return {layer, layer};
  if (role_of(tensor) == Role::output) return {head, head};
  return {role_of(tensor) == Role::token_embd && model.multiplies(tensor) ? head : kLookUp, kLookUp};
}

bool has_row_per_token(const infer::Model& model, const Tensor& tensor) {
  return layer_of(tensor.name) < 0 && tensor.rows() == model.vocabulary();
}

RowSample sample_of(const infer::Model& model, const Tensor& tensor, const TextChunks& text) {
  const int64_t in_step = rows_in_step(model, tensor), rows = sample_rows(tensor.cols(), in_step);
  if (!has_row_per_token(model, tensor) || tensor.rows() <= rows) return spread_sample(tensor, in_step, rows);
  std::vector<double> sizes = text.token_shares();
  if (model.multiplies(tensor.name))  // what is only looked up has no gradient where it is not
    for (double& s : sizes) s = (1 - kShareOfAll) * s + kShareOfAll / static_cast<double>(sizes.size());
  return proportional_sample(sizes, rows);
}

Sensitivity Subject::estimate(size_t format) const {
  double covered = 0, all = 0, sum = 0, squares = 0;
  int64_t count = 0;
  for (const auto& of_chunk : records) {
    if (of_chunk.empty()) continue;
    const SensitivityRecord& r = of_chunk[format];
    const double loss = r.sum / (2 * static_cast<double>(r.tokens * r.draws));
    covered += r.covered;
    all += r.all;
    sum += loss;
    squares += loss * loss;
    ++count;
  }
  const infer::Estimate mean = infer::estimate(sum, squares, count);
  const double by = covered > kMinCovered ? all / covered : 1;
  return {mean.value * by, mean.error * by};
}

}  // namespace snug
