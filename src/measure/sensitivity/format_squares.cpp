#include "measure/sensitivity/format_squares.hpp"

#include <algorithm>
#include <utility>

#include "base/events.hpp"
#include "base/parallel.hpp"
#include "infer/exact/exact_kernels.hpp"

namespace snug {
namespace {

using infer::Activations;

constexpr int64_t kGradientBytes = 32 << 20;  // of all chunks, read together
constexpr int64_t kGrain = 4;                 // rows to a task

class Squares {
 public:
  Squares(const FormatErrors& errors, const RowSample& sample, std::vector<const RowGradients*> chunks)
      : errors_{errors},
        sample_{sample},
        chunks_{std::move(chunks)},
        draws_{chunks_.front()->draws()},
        vectors_{draws_ * std::ssize(chunks_)},
        cols_{chunks_.front()->width()},
        padded_{(cols_ + 7) / 8 * 8},
        products_(static_cast<size_t>(rows() * formats() * vectors_)) {
    const int64_t together = std::max<int64_t>(1, kGradientBytes / (vectors_ * cols_ * int64_t{sizeof(float)}));
    for (int64_t first = 0; first < rows(); first += together) {
      check_cancelled();
      multiply(first, std::min(together, rows() - first));
    }
  }

  /// Of chunk c.
  std::vector<double> sums(int64_t c) const {
    std::vector<double> sums(static_cast<size_t>(formats()));
    for (int64_t v = c * draws_; v < (c + 1) * draws_; ++v) add_sums(v, sums);
    return sums;
  }

 private:
  int64_t rows() const { return std::ssize(sample_.rows); }
  int64_t formats() const { return std::ssize(errors_.formats()); }
  size_t place(int64_t row, int64_t vector) const { return static_cast<size_t>((row * vectors_ + vector) * formats()); }
  float* products(int64_t row, int64_t vector) { return products_.data() + place(row, vector); }

  /// Of sampled rows [first, first + count), with the gradients of all chunks and draws.
  void multiply(int64_t first, int64_t count) {
    std::vector<Activations> parts;
    for (const RowGradients* chunk : chunks_) parts.push_back(chunk->part(first, count));
    parallel_ranges(count, kGrain, [&](int64_t begin, int64_t end) {
      Activations errors(formats(), padded_), gradients(vectors_, padded_);
      for (int64_t i = begin; i < end; ++i) {
        errors_.of_row(sample_.rows[static_cast<size_t>(first + i)], errors);
        for (int64_t v = 0; v < vectors_; ++v)
          std::copy_n(parts[static_cast<size_t>(v / draws_)].at(v % draws_ * count + i), cols_, gradients.at(v));
        for (int64_t f = 0; f < formats(); f += infer::kPanelRows)
          infer::exact_kernels().panel(errors.at(f), std::min(infer::kPanelRows, formats() - f), gradients.at(0), vectors_,
                                       padded_, products(first + i, 0) + f, formats());
      }
    });
  }

  /// Over groups, of weight * (sum over rows)^2, of one draw of a chunk.
  void add_sums(int64_t vector, std::vector<double>& sums) const {
    const size_t count = sums.size();
    std::vector<double> inner(sample_.weights.size() * count);
    for (int64_t i = 0; i < rows(); ++i) {
      const float* product = products_.data() + place(i, vector);
      double* group = inner.data() + static_cast<size_t>(sample_.groups[static_cast<size_t>(i)]) * count;
      for (size_t f = 0; f < count; ++f) group[f] += static_cast<double>(product[f]);
    }
    for (size_t g = 0; g < sample_.weights.size(); ++g)
      for (size_t f = 0; f < count; ++f) sums[f] += sample_.weights[g] * inner[g * count + f] * inner[g * count + f];
  }

  const FormatErrors& errors_;
  const RowSample& sample_;
  std::vector<const RowGradients*> chunks_;
  int64_t draws_, vectors_;  // of each draw of each chunk
  int64_t cols_, padded_;
  std::vector<float> products_;  // <gradient, error>: [rows, vectors, formats]
};

}  // namespace

std::vector<std::vector<double>> format_squares(const FormatErrors& errors, const RowSample& sample,
                                                std::span<const RowGradients* const> chunks) {
  std::vector<std::vector<double>> sums(chunks.size(), std::vector<double>(errors.formats().size()));
  std::vector<const RowGradients*> shown;
  std::vector<size_t> places;
  for (size_t c = 0; c < chunks.size(); ++c) {
    if (!chunks[c]) continue;
    shown.push_back(chunks[c]);
    places.push_back(c);
  }
  if (shown.empty()) return sums;
  const Squares squares{errors, sample, std::move(shown)};
  parallel_for(std::ssize(places), [&](int64_t i) { sums[places[static_cast<size_t>(i)]] = squares.sums(i); });
  return sums;
}

}  // namespace snug
