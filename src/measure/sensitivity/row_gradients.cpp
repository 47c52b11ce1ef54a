#include "measure/sensitivity/row_gradients.hpp"

#include <algorithm>
#include <bit>
#include <utility>

#include "base/parallel.hpp"
#include "infer/exact/exact_kernels.hpp"
#include "infer/sweep_place.hpp"

namespace snug {
namespace {

constexpr int64_t kRows = 64;  // to a task

using infer::Activations;

/// The part of ascending `rows` that lies in [first, last), as indices.
std::pair<int64_t, int64_t> part_of(const std::vector<int64_t>& rows, int64_t first, int64_t last) {
  const auto begin = std::ranges::lower_bound(rows, first), end = std::ranges::lower_bound(rows, last);
  return {begin - rows.begin(), end - rows.begin()};
}

/// The gradients by outputs rows[i] - first, turned [outputs, tokens]: token after token, of those from `token` on.
void turn(const Activations& gradients, int64_t token, std::span<const int64_t> rows, int64_t first,
          Activations& turned) {
  constexpr int64_t kTogether = 16;  // tokens whose rows stay in the L1 cache for all outputs
  for (int64_t t = 0; t < turned.width(); t += kTogether)
    for (int64_t i = 0; i < turned.count(); ++i) {
      const int64_t output = rows[static_cast<size_t>(i)] - first, end = std::min(turned.width(), t + kTogether);
      for (int64_t u = t; u < end; ++u) turned.at(i)[u] = gradients.at(token + u)[output];
    }
}

}  // namespace

RowGradients::RowGradients(const Sampled& tensor, int64_t draws)
    : tensor_{tensor},
      draws_{draws},
      rows_(draws * static_cast<int64_t>(tensor.sample.rows.size()), tensor.weight->cols) {}

Activations& RowGradients::rows() {
  if (rests_) rows_ = stored_->read();
  rests_ = false;
  return rows_;
}

void RowGradients::rest(infer::RowStore& store) {
  if (rests_) return;
  if (stored_)
    stored_->replace(std::move(rows_));
  else
    stored_ = store.keep(std::move(rows_));
  rows_ = {};
  rests_ = true;
}

void RowGradients::add_product(int64_t matrix, const Activations& inputs, const Activations& gradients) {
  const RowSample& sample = tensor_.sample;
  const int64_t first = matrix * tensor_.weight->rows, tokens = inputs.count();
  const auto [begin, end] = part_of(sample.rows, first, first + tensor_.weight->rows);
  const auto all = static_cast<int64_t>(sample.rows.size());
  Activations& sums = rows();
  for (int64_t draw = 0; draw < draws_; ++draw)
    parallel_ranges(end - begin, kRows, [&, at = begin](int64_t from, int64_t to) {
      Activations turned = Activations::unset(to - from, tokens);
      turn(gradients, draw * tokens, std::span{sample.rows}.subspan(static_cast<size_t>(at + from)), first, turned);
      infer::exact_kernels().accumulate(turned.at(0), to - from, tokens, inputs.at(0), tokens, inputs.width(),
                                        inputs.width(), sums.at(draw * all + at + from), sums.width());
    });
  if (!tensor_.energies.empty()) add_energies(matrix, gradients);
}

void RowGradients::add_energies(int64_t matrix, const Activations& gradients) {
  const RowSample& sample = tensor_.sample;
  const int64_t first = matrix * tensor_.weight->rows;
  std::vector<double> squares(static_cast<size_t>(gradients.width()));
  for (int64_t i = 0; i < gradients.count(); ++i)
    for (size_t r = 0; r < squares.size(); ++r)
      squares[r] += static_cast<double>(gradients.row(i)[r]) * gradients.row(i)[r];
  for (size_t r = 0; r < squares.size(); ++r)
    all_ += squares[r] *= tensor_.energies[static_cast<size_t>(first) + r];
  const auto [begin, end] = part_of(sample.rows, first, first + tensor_.weight->rows);
  for (int64_t i = begin; i < end; ++i) {
    const auto at = static_cast<size_t>(i);
    covered_ += sample.weights[static_cast<size_t>(sample.groups[at])] *
                squares[static_cast<size_t>(sample.rows[at] - first)];
  }
}

void RowGradients::add_look_up(std::span<const int32_t> tokens, const Activations& gradients) {
  const std::vector<int64_t>& rows = tensor_.sample.rows;
  const auto all = static_cast<int64_t>(rows.size()), count = static_cast<int64_t>(tokens.size());
  Activations& sums = this->rows();
  for (int64_t i = 0; i < gradients.count(); ++i) {
    const int64_t token = tokens[static_cast<size_t>(i % count)];
    const auto found = std::ranges::lower_bound(rows, token);
    if (found == rows.end() || *found != token) continue;
    infer::exact_kernels().add_scaled(sums.at(i / count * all + (found - rows.begin())), gradients.at(i), 1,
                                      gradients.width());
  }
}

Activations RowGradients::part(int64_t first, int64_t count) const {
  const auto all = static_cast<int64_t>(tensor_.sample.rows.size());
  Activations part = Activations::unset(draws_ * count, width());
  for (int64_t draw = 0; draw < draws_; ++draw) {
    const int64_t from = draw * all + first;
    const Activations read = rests_ ? stored_->read(from, count) : Activations{};
    std::copy_n(rests_ ? read.at(0) : rows_.at(from), count * width(), part.at(draw * count));
  }
  return part;
}

void RowGradients::write(NumberWriter& write) const {
  write(std::bit_cast<int64_t>(covered_)), write(std::bit_cast<int64_t>(all_));
  infer::write_rows(write, rests_ ? stored_->read() : rows_);
}

void RowGradients::read(NumberReader& read) {
  int64_t covered = 0, all = 0;
  read(covered), read(all);
  covered_ = std::bit_cast<double>(covered), all_ = std::bit_cast<double>(all);
  Activations saved = infer::read_rows(read);
  if (saved.count() != rows().count() || saved.width() != width()) read.fail("gradients of other rows");
  rows() = std::move(saved);
}

}  // namespace snug
