#include "fold/fold.hpp"

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>

#include "base/half.hpp"

namespace snug {
namespace {

std::vector<float> inverse(std::span<const float> factors) {
  std::vector<float> by(factors.size());
  std::ranges::transform(factors, by.begin(), [](float f) { return 1 / f; });
  return by;
}

/// 1/factor for the rows that make the channels of each matrix, 1 for the others.
std::vector<float> row_scale(const FoldPair& pair, std::span<const float> factors) {
  const std::vector<float> by = inverse(factors);
  std::vector<float> rows(static_cast<size_t>(pair.writer->rows()), 1);
  const int64_t stride = pair.writer->rows() / pair.matrices;
  for (int64_t m = 0; m < pair.matrices; ++m)
    std::copy_n(by.begin() + m * pair.channels, pair.channels, rows.begin() + m * stride + pair.first_row);
  return rows;
}

}  // namespace

void Fold::add(const FoldPair& pair, std::span<const float> factors) {
  const std::vector<float> columns = pair.of_columns(factors);
  for (const Tensor* reader : pair.readers) scales_[std::string(reader->name)].columns = columns;
  if (pair.row_reader) scales_[std::string(pair.row_reader->name)].rows.assign(factors.begin(), factors.end());
  Scale& written = scales_[std::string(pair.writer->name)];
  if (pair.is_vector()) {
    written.values = inverse(factors);
    return;
  }
  written.rows = row_scale(pair, factors);
  if (pair.bias) scales_[std::string(pair.bias->name)].values = written.rows;
}

std::vector<std::string> Fold::tensors() const {
  std::vector<std::string> names;
  for (const auto& [name, scale] : scales_) names.push_back(name);
  return names;
}

void Fold::scale(const Scale& scale, const Tensor& tensor, int64_t row, std::span<float> weights) {
  const auto multiply = [&](std::span<const float> by) {
    for (size_t j = 0; j < weights.size(); ++j) weights[j] *= by[j];
  };
  const auto cols = weights.size();
  if (!scale.values.empty()) multiply(std::span{scale.values}.subspan(static_cast<size_t>(row) * cols, cols));
  if (!scale.columns.empty()) {
    const auto matrix = scale.columns.size() > cols ? static_cast<size_t>(row / tensor.shape[1]) : 0;
    multiply(std::span{scale.columns}.subspan(matrix * cols, cols));
  }
  if (!scale.rows.empty()) {
    const float by = scale.rows[static_cast<size_t>(row) % scale.rows.size()];
    for (float& weight : weights) weight *= by;
  }
}

ModelSource Fold::of(const ModelSource& model) const {
  const auto source = std::make_shared<const ModelSource>(model);
  const auto scales = std::make_shared<const std::map<std::string, Scale, std::less<>>>(scales_);
  ModelSource::Contents contents{.path = model.path(),
                                 .files = {model.files().begin(), model.files().end()},
                                 .bytes = model.bytes(),
                                 .container = model.container(),
                                 .metadata = model.metadata(),
                                 .tensors = {model.tensors().begin(), model.tensors().end()},
                                 .remarks = {model.remarks().begin(), model.remarks().end()},
                                 .storage = {source, scales}};
  for (Tensor& tensor : contents.tensors) {
    const auto found = scales->find(tensor.name);
    if (found == scales->end()) continue;
    const Tensor* const from = source->find(tensor.name);
    RowPlaces places;
    places.make = [from, &by = found->second](int64_t row, std::span<std::byte> out) {
      thread_local std::vector<float> weights;
      weights.resize(static_cast<size_t>(from->cols()));
      from->read_row(row, weights);
      scale(by, *from, row, weights);
      find_format(from->format)->encode(weights, {}, Effort::normal, out.data());
    };
    tensor.data = nullptr;
    tensor.places = std::make_shared<const RowPlaces>(std::move(places));
  }
  return ModelSource{std::move(contents)};
}

void Fold::divide_inputs(Importance& importance) const {
  for (const auto& [name, scale] : scales_)
    if (!scale.columns.empty()) importance.divide_inputs(name, scale.columns);
}

void Fold::divide_inputs(Hessians& moments) const {
  for (const auto& [name, scale] : scales_)
    if (!scale.columns.empty()) moments.divide_inputs(name, scale.columns);
}

std::vector<float> storable(const Tensor& norm, std::span<const float> factors, bool plus_one) {
  const std::vector<float> before = norm.values();
  const float offset = plus_one ? 1 : 0;
  std::vector<float> exact(factors.begin(), factors.end());
  for (size_t i = 0; i < exact.size(); ++i) {
    const float after = from_bf16(to_bf16(before[i] / exact[i] - offset)) + offset, factor = before[i] / after;
    if (std::isfinite(factor) && factor > 0.5f * exact[i] && factor < 2 * exact[i]) exact[i] = factor;
  }
  return exact;
}

}  // namespace snug
