// Reads any bytes as an imatrix, GGUF or legacy: an Error, or statistics that encoders may rely on.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "imatrix/importance.hpp"
#include "snug/error.hpp"

namespace {

using namespace snug;

void check(const ColumnWeights& columns, int64_t cols) {
  if (columns.mean_square.size() != static_cast<size_t>(cols)) std::abort();
  if (!columns.mean.empty() && columns.mean.size() != columns.mean_square.size()) std::abort();
  for (size_t j = 0; j < columns.mean_square.size(); ++j) {
    const double square = columns.mean_square[j], mean = columns.mean.empty() ? 0.0 : columns.mean[j];
    if (!std::isfinite(square) || square < 0 || !(mean * mean <= square)) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const Importance importance =
        Importance::from(read_imatrix(std::as_bytes(std::span{data, size}), "fuzz.imatrix"), "fuzz.imatrix");
    for (const auto& [name, tensor] : importance.tensors())
      for (int64_t mat = 0; mat < tensor.mats; ++mat) {
        check(tensor.columns(mat), tensor.cols);
        if (!(tensor.token_share(mat) >= 0)) std::abort();
      }
  } catch (const Error&) {
  }
  return 0;
}
