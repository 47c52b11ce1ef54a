#include "measure/encode_tensor.hpp"

#include "base/parallel.hpp"
#include "quant/second_order.hpp"
#include "snug/quantize.hpp"

namespace snug {
namespace {

constexpr int64_t kRows = 16;  // to a task

/// One tensor on its way, row by row, and what it costs.
class TensorEncoder {
 public:
  TensorEncoder(const gguf::Tensor& tensor, const Format& format, const TensorImportance* importance,
                Effort effort)
      : tensor_(tensor),
        format_(format),
        importance_(importance),
        effort_(effort),
        data_(static_cast<size_t>(tensor.rows() * row_bytes())),
        errors_(static_cast<size_t>(tensor.rows())),
        energies_(errors_.size()) {}

  void encode(int64_t first, int64_t count, const Curvature* curvature) {
    const int64_t cols = tensor_.cols();
    std::vector<float> rows(static_cast<size_t>(count * cols));
    const Matrix<const float> weights{rows.data(), count, cols};
    const Format& source = *find_format(tensor_.format);
    for (int64_t r = 0; r < count; ++r)
      source.decode(tensor_.row(first + r).data(), {rows.data() + r * cols, static_cast<size_t>(cols)});
    const ColumnWeights columns = columns_of(importance_, tensor_, first);
    const auto blocks = std::span{data_}.subspan(static_cast<size_t>(first * row_bytes()),
                                                 static_cast<size_t>(count * row_bytes()));
    encode_rows(format_, weights, columns, curvature, effort_, blocks);
    const double share = token_share_of(importance_, tensor_, first);
    std::vector<float> decoded(static_cast<size_t>(cols));
    const std::vector<float> zero(decoded.size());
    for (int64_t r = 0; r < count; ++r) {
      format_.decode(blocks.data() + r * row_bytes(), decoded);
      errors_[static_cast<size_t>(first + r)] = share * weighted_error(weights.row(r), decoded, columns);
      energies_[static_cast<size_t>(first + r)] = share * weighted_error(zero, weights.row(r), columns);
    }
  }

  Encoded finish() {
    double error = 0, energy = 0;
    for (size_t r = 0; r < errors_.size(); ++r) {  // in order: the same sums on any threads
      error += errors_[r];
      energy += energies_[r];
    }
    return {tensor_.name, &format_, std::move(data_), energy > 0 ? error / energy : 0};
  }

 private:
  int64_t row_bytes() const { return format_.row_bytes(tensor_.cols()); }

  const gguf::Tensor& tensor_;
  const Format& format_;
  const TensorImportance* importance_;
  const Effort effort_;
  std::vector<std::byte> data_;
  std::vector<double> errors_, energies_;
};

}  // namespace

void encode_rows(const Format& format, Matrix<const float> weights, const ColumnWeights& columns,
                 const Curvature* curvature, Effort effort, std::span<std::byte> blocks) {
  if (curvature && has_second_order(format))
    encode_second_order(format, weights, columns, *curvature, effort, blocks);
  else
    quantize(format, weights, columns, effort, blocks);
}

Encoded encode_tensor(const gguf::Tensor& tensor, const Format& format, const TensorImportance* importance,
                      Effort effort, Curvatures* curvatures) {
  TensorEncoder encoder{tensor, format, importance, effort};
  const int64_t rows = tensor.shape[1];
  for (int64_t mat = 0; mat < tensor.experts(); ++mat) {
    const auto curvature = curvatures && has_second_order(format) ? curvatures->find(tensor, mat) : nullptr;
    parallel_ranges(rows, kRows, [&](int64_t begin, int64_t end) {
      encoder.encode(mat * rows + begin, end - begin, curvature.get());
    });
  }
  return encoder.finish();
}

}  // namespace snug
