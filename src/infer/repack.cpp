#include <algorithm>

#include "base/events.hpp"
#include "base/parallel.hpp"
#include "infer/kernels/kernels.hpp"
#include "infer/model.hpp"

namespace snug::infer {
namespace {

/// Of a matrix of the model; nullptr where it is to stay as it is.
const RepackedFormat* repacked_format(const Model& model, const Weight& w) {
  if (!model.multiplies(w.name) || w.rows % kStripRows != 0) return nullptr;
  const RepackedFormat* format = packed_kernels().find_repacked(w.format->id);
  return format && w.cols % format->columns == 0 ? format : nullptr;
}

int64_t bytes_of(const Weight& w, const RepackedFormat& format) {
  const int64_t bytes = w.matrices * w.rows * format.row_bytes(w.cols);
  return (bytes + 63) / 64 * 64;  // the next one begins at a cache line
}

void repack_weight(const Weight& w, const RepackedFormat& format, std::byte* to) {
  const int64_t to_bytes = format.row_bytes(w.cols);
  constexpr int64_t rows_at_once = 4 * kStripRows;
  // Matrix by matrix: they need not lie one after another.
  const int64_t pieces = (w.rows + rows_at_once - 1) / rows_at_once;
  parallel_for(w.matrices * pieces, [&](int64_t i) {
    const int64_t matrix = i / pieces, begin = i % pieces * rows_at_once;
    format.repack({w.row(matrix, begin), w.format->row_bytes(w.cols), std::min(rows_at_once, w.rows - begin), w.cols},
                  to + (matrix * w.rows + begin) * to_bytes);
  });
}

}  // namespace

int64_t Model::repacked_bytes() const {
  int64_t sum = 0;
  for (const auto& [name, weight] : weights_)
    if (const RepackedFormat* format = repacked_format(*this, weight)) sum += bytes_of(weight, *format);
  return sum;
}

void Model::repack(const std::function<void(int64_t)>& advance) {
  repacked_ = LargeMemory{repacked_bytes()};
  std::byte* to = repacked_.data();
  for (auto& [name, weight] : weights_) {
    const RepackedFormat* format = repacked_format(*this, weight);
    if (!format) continue;
    check_cancelled();
    repack_weight(weight, *format, to);
    const int64_t bytes = bytes_of(weight, *format);
    weight.repacked = {to, static_cast<size_t>(bytes)};
    to += bytes;
    source_.find(name)->done_with();
    if (advance) advance(bytes);
  }
}

}  // namespace snug::infer
