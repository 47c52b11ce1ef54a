#include "measure/format_errors.hpp"

#include <utility>

#include "base/aligned.hpp"
#include "base/parallel.hpp"

namespace snug {
namespace {

constexpr int64_t kGrain = 16;  // rows to a task

}  // namespace

FormatErrors::FormatErrors(const Tensor& tensor, const TensorImportance* importance,
                           std::vector<const Format*> formats, Effort effort)
    : tensor_{tensor}, importance_{importance}, formats_{std::move(formats)}, effort_{effort} {}

void FormatErrors::of_row(int64_t row, infer::Activations& errors) const {
  const auto cols = static_cast<size_t>(tensor_.cols());
  FloatRow original(cols);
  tensor_.read_row(row, original);
  const ColumnWeights columns = columns_of(importance_, tensor_, row);
  std::vector<std::byte> blocks;
  for (size_t f = 0; f < formats_.size(); ++f) {
    const Format& format = *formats_[f];
    blocks.resize(static_cast<size_t>(format.row_bytes(tensor_.cols())));
    format.encode(original, columns, effort_, blocks.data());
    const std::span<float> error = errors.row(static_cast<int64_t>(f)).first(cols);
    format.decode(blocks.data(), error);
    for (size_t k = 0; k < cols; ++k) error[k] -= original[k];
  }
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
