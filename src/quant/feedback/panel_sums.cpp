#include "quant/feedback/panel_sums.hpp"

#include <algorithm>

namespace snug {
namespace {

constexpr int64_t kPanelRows = 128;  // with kPanelColumns floats each: 32 KiB

}  // namespace

void PanelSums::add(const float* x, int64_t stride, int64_t rows, int64_t from, int64_t to,
                    std::span<const PanelSum> sums) {
  if (from >= to) return;
  panel_.resize(static_cast<size_t>(kPanelRows * kPanelColumns));
  ends_.assign(sums.size(), 0);
  for (int64_t first = 0; first < rows; first += kPanelRows) {
    const int64_t count = std::min(kPanelRows, rows - first);
    begins_ = ends_;
    for (size_t s = 0; s < sums.size(); ++s) {
      const auto row = sums[s].row;
      ends_[s] = static_cast<size_t>(
          std::ranges::lower_bound(row.subspan(begins_[s]), static_cast<int32_t>(first + count)) -
          row.begin());
    }
    if (begins_ != ends_) add_panel(x, stride, first, count, from, to, sums);
  }
}

void PanelSums::add_panel(const float* x, int64_t stride, int64_t first, int64_t rows, int64_t from,
                          int64_t to, std::span<const PanelSum> sums) {
  for (int64_t at = from; at < to; at += kPanelColumns) {
    const int64_t columns = std::min(kPanelColumns, to - at);
    for (int64_t r = 0; r < rows; ++r)
      std::copy_n(x + (first + r) * stride + at, columns, panel_.data() + r * kPanelColumns);
    for (size_t s = 0; s < sums.size(); ++s) {
      const auto count = static_cast<int64_t>(ends_[s] - begins_[s]);
      if (count == 0) continue;
      const int32_t* row = sums[s].row.data() + begins_[s];
      const float* scale = sums[s].scale.data() + begins_[s];
      if (columns == kPanelColumns) {
        add_panel_(sums[s].y + at, panel_.data(), first, row, scale, count);
        continue;
      }
      float y[kPanelColumns] = {};
      std::copy_n(sums[s].y + at, columns, y);
      add_panel_(y, panel_.data(), first, row, scale, count);
      std::copy_n(y, columns, sums[s].y + at);
    }
  }
}

}  // namespace snug
