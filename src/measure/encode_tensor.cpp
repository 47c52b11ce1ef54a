#include "measure/encode_tensor.hpp"

#include "base/parallel.hpp"
#include "snug/quantize.hpp"

namespace snug {
namespace {

constexpr int64_t kRows = 8;  // to a task

}  // namespace

Encoded encode_tensor(const gguf::Tensor& tensor, const Format& format, const TensorImportance* importance) {
  const Format& source = *find_format(tensor.format);
  const int64_t cols = tensor.cols(), bytes = format.row_bytes(cols);
  Encoded encoded{tensor.name, &format, std::vector<std::byte>(static_cast<size_t>(tensor.rows() * bytes)),
                  0};
  std::vector<double> errors(static_cast<size_t>(tensor.rows())), energies(errors.size());
  parallel_ranges(tensor.rows(), kRows, [&](int64_t begin, int64_t end) {
    std::vector<float> row(static_cast<size_t>(cols)), decoded(row.size());
    const std::vector<float> zero(row.size());
    for (int64_t r = begin; r < end; ++r) {
      const ColumnWeights columns = columns_of(importance, tensor, r);
      const double share = token_share_of(importance, tensor, r);
      std::byte* blocks = encoded.data.data() + r * bytes;
      source.decode(tensor.row(r).data(), row);
      format.encode(row, columns, Effort::normal, blocks);
      format.decode(blocks, decoded);
      errors[static_cast<size_t>(r)] = share * weighted_error(row, decoded, columns);
      energies[static_cast<size_t>(r)] = share * weighted_error(zero, row, columns);
    }
  });
  double error = 0, energy = 0;
  for (size_t r = 0; r < errors.size(); ++r) {  // in order: the same sums on any threads
    error += errors[r];
    energy += energies[r];
  }
  encoded.rho = energy > 0 ? error / energy : 0;
  return encoded;
}

}  // namespace snug
