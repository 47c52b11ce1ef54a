#include "measure/format_errors.hpp"

#include <utility>

#include "base/aligned.hpp"
#include "base/parallel.hpp"

namespace snug {
namespace {

constexpr int64_t kGrain = 16;  // rows to a task

}  // namespace

FormatErrors::FormatErrors(const Tensor& tensor, const TensorImportance* importance,
                           std::vector<const Format*> formats, const RowSample& sample, Effort effort)
    : formats_{std::move(formats)} {
  const auto rows = static_cast<int64_t>(sample.rows.size()), count = static_cast<int64_t>(formats_.size());
  errors_ = infer::Activations::unset(rows * count, tensor.cols());
  parallel_for(rows, [&](int64_t i) {
    const int64_t row = sample.rows[static_cast<size_t>(i)];
    FloatRow original(static_cast<size_t>(tensor.cols()));
    tensor.read_row(row, original);
    const ColumnWeights columns = columns_of(importance, tensor, row);
    std::vector<std::byte> blocks;
    for (int64_t f = 0; f < count; ++f) {
      const Format& format = *formats_[static_cast<size_t>(f)];
      blocks.resize(static_cast<size_t>(format.row_bytes(tensor.cols())));
      format.encode(original, columns, effort, blocks.data());
      const std::span<float> error = errors_.row(i * count + f);
      format.decode(blocks.data(), error);
      for (size_t k = 0; k < error.size(); ++k) error[k] -= original[k];
    }
  });
}

std::vector<double> row_energies(const Tensor& tensor, const TensorImportance* importance) {
  std::vector<double> energies(static_cast<size_t>(tensor.rows()));
  parallel_for(
      tensor.rows(),
      [&](int64_t r) {
        FloatRow row(static_cast<size_t>(tensor.cols()));
        tensor.read_row(r, row);
        const std::span<const float> v = columns_of(importance, tensor, r).mean_square;
        double sum = 0;
        for (size_t k = 0; k < row.size(); ++k)
          sum += static_cast<double>(row[k]) * row[k] * (v.empty() ? 1.0f : v[k]);
        energies[static_cast<size_t>(r)] = sum;
      },
      kGrain);
  return energies;
}

}  // namespace snug
