#include "imatrix/importance.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/digest.hpp"
#include "base/printable.hpp"
#include "base/str.hpp"
#include "model/roles.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

constexpr double kTolerance =
    1e-3;  // sums were added up in float: a mean may pass its root mean square by this share
constexpr const char* kMakeAgain = "make the imatrix again with `snug imatrix` or llama-imatrix";

/// A square cannot be less than the square of the mean. False if it is by more than rounding explains.
bool reconcile(float mean_square, float& mean) {
  const double most = std::sqrt(static_cast<double>(mean_square));
  if (std::fabs(static_cast<double>(mean)) <= most) return true;
  if (std::fabs(static_cast<double>(mean)) > most * (1 + kTolerance)) return false;
  float clamped = static_cast<float>(most);
  if (clamped > most) clamped = std::nextafter(clamped, 0.0f);
  mean = std::copysign(clamped, mean);
  return true;
}

/// Sums of one matrix, made means in place.
void divide(std::span<float> values, float count) {
  for (float& value : values) value = static_cast<float>(static_cast<double>(value) / count);
}

/// Gives the matrices in `unseen` the mean over the others.
void fill_unseen(std::vector<float>& values, int64_t cols, const std::vector<bool>& unseen, int64_t seen) {
  if (values.empty()) return;
  const auto width = static_cast<size_t>(cols);
  std::vector<double> sum(width, 0.0);
  for (size_t mat = 0; mat < unseen.size(); ++mat)
    for (size_t j = 0; j < width && !unseen[mat]; ++j) sum[j] += values[mat * width + j];
  for (size_t mat = 0; mat < unseen.size(); ++mat)
    for (size_t j = 0; j < width && unseen[mat]; ++j)
      values[mat * width + j] = static_cast<float>(sum[j] / static_cast<double>(seen));
}

/// Experts without tokens take the mean of the others. False if no matrix saw any.
bool shrink_unseen(TensorImportance& tensor) {
  std::vector<bool> unseen;
  for (const float count : tensor.counts) unseen.push_back(count <= 0);
  tensor.shrunk = std::ranges::count(unseen, true);
  if (tensor.shrunk == tensor.mats) return false;
  if (tensor.shrunk == 0) return true;
  fill_unseen(tensor.mean_square, tensor.cols, unseen, tensor.mats - tensor.shrunk);
  fill_unseen(tensor.mean, tensor.cols, unseen, tensor.mats - tensor.shrunk);
  for (size_t i = 0; i < tensor.mean.size(); ++i) reconcile(tensor.mean_square[i], tensor.mean[i]);
  return true;
}

TensorImportance means_of(ImatrixSums sums, const std::string& name, const std::string& path) {
  TensorImportance tensor{
      sums.cols, sums.mats, std::move(sums.in_sum2), std::move(sums.in_sum), std::move(sums.counts), 0};
  const auto width = static_cast<size_t>(tensor.cols);
  for (size_t mat = 0; mat < tensor.counts.size(); ++mat) {
    if (tensor.counts[mat] <= 0) continue;
    if (tensor.counts[mat] < 1)
      throw Error{str("'", printable(name), "' has a count of ", tensor.counts[mat]), path, kMakeAgain};
    divide(std::span{tensor.mean_square}.subspan(mat * width, width), tensor.counts[mat]);
    if (!tensor.mean.empty()) divide(std::span{tensor.mean}.subspan(mat * width, width), tensor.counts[mat]);
  }
  for (size_t i = 0; i < tensor.mean.size(); ++i)
    if (tensor.counts[i / width] > 0 && !reconcile(tensor.mean_square[i], tensor.mean[i]))
      throw Error{str("in_sum of '", printable(name), "' contradicts in_sum2: column ", i % width,
                      " of matrix ", i / width, " has mean ", tensor.mean[i], " and mean square ",
                      tensor.mean_square[i]),
                  path, kMakeAgain};
  return tensor;
}

/// A legacy file holds all experts of a tensor in one row, and ones for an expert that was never hit.
void divide_experts(TensorImportance& tensor, int64_t experts) {
  tensor.cols /= experts;
  tensor.mats = experts;
  tensor.counts.resize(static_cast<size_t>(experts), tensor.counts.front());
  for (size_t mat = 0; mat < tensor.counts.size(); ++mat)
    if (std::ranges::all_of(tensor.columns(static_cast<int64_t>(mat)).mean_square,
                            [](float v) { return v == 1.0f; }))
      tensor.counts[mat] = 0;
  shrink_unseen(tensor);
}

/// Statistics of one matrix, given to each of several.
void repeat(TensorImportance& tensor, int64_t mats) {
  const auto copies = [&](std::vector<float>& values) {
    const std::vector<float> one = values;
    for (int64_t m = 1; m < mats; ++m) values.insert(values.end(), one.begin(), one.end());
  };
  copies(tensor.mean_square);
  copies(tensor.mean);
  copies(tensor.counts);
  tensor.mats = mats;
}

std::string shape(int64_t cols, int64_t mats) {
  return mats > 1 ? str(cols, " x ", mats, " experts") : str(cols);
}

}  // namespace

ColumnWeights TensorImportance::columns(int64_t mat) const {
  const auto width = static_cast<size_t>(cols);
  const size_t first = mats > 1 ? static_cast<size_t>(mat) * width : 0;
  const auto part = [&](const std::vector<float>& values) {
    return values.empty() ? std::span<const float>{} : std::span{values}.subspan(first, width);
  };
  return {part(mean_square), part(mean)};
}

double TensorImportance::token_share(int64_t mat) const {
  double sum = 0;
  for (const float count : counts) sum += count;
  if (mats <= 1 || sum <= 0) return 1.0;
  return counts[static_cast<size_t>(mat)] * static_cast<double>(mats) / sum;
}

ColumnWeights columns_of(const TensorImportance* importance, const Tensor& tensor, int64_t row) {
  ColumnWeights columns;
  if (importance) columns = importance->columns(importance->mats > 1 ? row / tensor.shape[1] : 0);
  columns.along_row = kAlongRow;
  return columns;
}

double token_share_of(const TensorImportance* importance, const Tensor& tensor, int64_t row) {
  return importance && importance->mats > 1 ? importance->token_share(row / tensor.shape[1]) : 1.0;
}

Importance Importance::load(const std::filesystem::path& path) {
  return from(read_imatrix(path), path);
}

Importance Importance::from(Imatrix imatrix, const std::filesystem::path& path) {
  Importance importance;
  importance.path_ = path;
  importance.datasets_ = std::move(imatrix.datasets);
  importance.chunks_ = imatrix.chunks;
  importance.legacy_ = imatrix.legacy;
  for (auto& [name, sums] : imatrix.tensors) {
    TensorImportance tensor = means_of(std::move(sums), name, path.string());
    if (shrink_unseen(tensor)) importance.tensors_.emplace(name, std::move(tensor));
  }
  return importance;
}

const TensorImportance* Importance::find(std::string_view tensor) const {
  const auto found = tensors_.find(tensor);
  return found == tensors_.end() ? nullptr : &found->second;
}

Importance::Match Importance::check_against(const ModelSource& model) {
  Match match;
  for (auto& [name, tensor] : tensors_) {
    const Tensor* weights = model.find(name);
    if (!weights) {
      match.unknown.push_back(name);
      continue;
    }
    const int64_t experts = weights->experts();
    if (legacy_ && tensor.mats == 1 && experts > 1 && tensor.cols / experts == weights->cols() &&
        tensor.cols % experts == 0)
      divide_experts(tensor, experts);
    if (tensor.cols != weights->cols() || (tensor.mats != 1 && tensor.mats != experts))
      throw Error{str("the imatrix does not fit the model: '", printable(name), "' has ",
                      shape(tensor.cols, tensor.mats), " columns there, ", shape(weights->cols(), experts),
                      " in the model"),
                  str(path_.string(), " and ", model.path().string()),
                  "use the imatrix made with this very model"};
    if (tensor.shrunk > 0) match.shrunk.push_back(name);
  }
  for (const Tensor& weights : model.tensors())
    if (is_quantizable(weights) && !find(weights.name)) match.without.emplace_back(weights.name);
  return match;
}

void Importance::divide_inputs(std::string_view tensor, std::span<const float> by) {
  const auto found = tensors_.find(tensor);
  if (found == tensors_.end()) return;
  if (undivided_digest_.empty()) undivided_digest_ = importance_digest(*this);
  TensorImportance& data = found->second;
  if (by.size() > data.mean_square.size()) repeat(data, static_cast<int64_t>(by.size()) / data.cols);
  for (size_t i = 0; i < data.mean_square.size(); ++i) {
    const float f = by[i % by.size()];
    data.mean_square[i] /= f * f;
    if (data.mean.empty()) continue;
    data.mean[i] /= f;
    reconcile(data.mean_square[i], data.mean[i]);
  }
}

std::string importance_digest(const Importance& importance) {
  if (!importance.undivided_digest().empty()) return importance.undivided_digest();
  Hasher hasher;
  for (const auto& [name, tensor] : importance.tensors()) {
    hasher.add(name).add_array<float>(tensor.mean_square).add_array<float>(tensor.mean).add_array<float>(tensor.counts);
  }
  return hasher.finish().hex();
}

}  // namespace snug
