#include "base/interrupt.hpp"
#include "base/mapped_file.hpp"
#include "base/parallel.hpp"
#include "infer/model.hpp"
#include "infer/packed/kernels.hpp"

namespace snug::infer {
namespace {

const RepackedFormat* repacked_format(const Weight& w) {
  return w.rows % kStripRows == 0 ? packed_kernels().find_repacked(w.format->id) : nullptr;
}

int64_t bytes_of(const Weight& w, const RepackedFormat& format) {
  const int64_t bytes = w.matrices * w.rows * format.row_bytes(w.cols);
  return (bytes + 63) / 64 * 64;  // the next one begins at a cache line
}

void repack_weight(const Weight& w, const RepackedFormat& format, std::byte* to) {
  const int64_t from_bytes = w.format->row_bytes(w.cols), to_bytes = format.row_bytes(w.cols);
  constexpr int64_t strips_at_once = 4;
  parallel_for(
      w.matrices * w.rows / kStripRows,
      [&](int64_t strip) {
        const int64_t row = strip * kStripRows;  // of all matrices, which are back to back
        format.repack({w.row(0, row), from_bytes, kStripRows, w.cols}, to + row * to_bytes);
      },
      strips_at_once);
}

}  // namespace

int64_t Model::repacked_bytes() const {
  int64_t sum = 0;
  for (const auto& [name, weight] : weights_)
    if (const RepackedFormat* format = multiplies(name) ? repacked_format(weight) : nullptr)
      sum += bytes_of(weight, *format);
  return sum;
}

void Model::repack(const std::function<void(int64_t)>& advance) {
  repacked_ = LargeMemory{repacked_bytes()};
  std::byte* to = repacked_.data();
  for (auto& [name, weight] : weights_) {
    const RepackedFormat* format = multiplies(name) ? repacked_format(weight) : nullptr;
    if (!format) continue;
    check_interrupt();
    repack_weight(weight, *format, to);
    const int64_t bytes = bytes_of(weight, *format);
    weight.repacked = {to, static_cast<size_t>(bytes)};
    to += bytes;
    MappedFile::done_with(weight.data);
    if (advance) advance(bytes);
  }
}

}  // namespace snug::infer
