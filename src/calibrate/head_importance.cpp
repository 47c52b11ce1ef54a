#include "calibrate/head_importance.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "base/memory.hpp"
#include "base/parallel.hpp"
#include "eval/divergence.hpp"
#include "infer/exact/exact_kernels.hpp"
#include "infer/gathered.hpp"
#include "infer/matmul.hpp"

namespace snug {
namespace {

constexpr int64_t kMaxGroups = 64;  // more gain little: KL of a head .74 of ungrouped with 16, .71 with 64
constexpr int64_t kMinRows = 16;    // of a group, on average
constexpr int kRounds = 10;
constexpr int64_t kFirstTokens = 4096;  // of the text, that groups are found from
constexpr float kLeast = 1e-4f;         // sensitivity of a token that counts; a group's mean is 1e-2
constexpr int64_t kGrain = 64;

/// A point for every row of the head. As many as there are tokens: in a mapped file where memory is short.
class Points {
 public:
  Points(int64_t count, int64_t width)
      : count_{count}, width_{width}, values_{bytes(), bytes() <= memory_for(MemoryUse::hidden_states)} {}
  int64_t count() const { return count_; }
  int64_t width() const { return width_; }
  float* at(int64_t i) { return reinterpret_cast<float*>(values_.bytes().data()) + i * width_; }
  const float* at(int64_t i) const { return const_cast<Points*>(this)->at(i); }
  std::span<const float> row(int64_t i) const { return {at(i), static_cast<size_t>(width_)}; }

 private:
  int64_t bytes() const { return count_ * width_ * int64_t{sizeof(float)}; }

  int64_t count_, width_;
  infer::Gathered values_;
};

/// C / s [cols, cols], row i divided by the spread s_i of column i.
std::vector<float> scaled_covariance(Matrix<const float> inputs) {
  const int64_t n = inputs.cols, tokens = inputs.rows;
  std::vector<double> mean(static_cast<size_t>(n));
  for (int64_t t = 0; t < tokens; ++t)
    for (int64_t j = 0; j < n; ++j) mean[static_cast<size_t>(j)] += inputs.data[t * n + j];
  for (double& m : mean) m /= static_cast<double>(tokens);
  std::vector<float> turned(static_cast<size_t>(n * tokens));
  for (int64_t t = 0; t < tokens; ++t)
    for (int64_t j = 0; j < n; ++j)
      turned[static_cast<size_t>(j * tokens + t)] =
          inputs.data[t * n + j] - static_cast<float>(mean[static_cast<size_t>(j)]);
  std::vector<float> out(static_cast<size_t>(n * n));
  const auto dot = infer::exact_kernels().dot;
  parallel_for(n, [&](int64_t i) {
    const float* column = turned.data() + i * tokens;
    const float square = dot(column, column, tokens);
    const float scale = square > 0 ? 1 / std::sqrt(square * static_cast<float>(tokens)) : 0;
    for (int64_t j = 0; j < n; ++j)
      out[static_cast<size_t>(i * n + j)] = scale * dot(column, turned.data() + j * tokens, tokens);
  });
  return out;
}

Points features(const infer::Weight& head, const std::vector<float>& covariance) {
  Points out(head.rows, head.cols);
  const auto dot = infer::exact_kernels().dot;
  parallel_ranges(head.rows, kGrain, [&](int64_t begin, int64_t end) {
    std::vector<float> w(static_cast<size_t>(head.cols));
    for (int64_t r = begin; r < end; ++r) {
      infer::decode_row(head, 0, r, w);
      for (int64_t i = 0; i < head.cols; ++i)
        out.at(r)[i] = dot(covariance.data() + i * head.cols, w.data(), head.cols);
    }
  });
  return out;
}

/// The nearest centre of each point.
void assign(const Points& points, const infer::Activations& centres,
            std::vector<int32_t>& group_of) {
  const auto dot = infer::exact_kernels().dot;
  const int64_t n = points.width();
  std::vector<float> squares;
  for (int64_t c = 0; c < centres.count(); ++c) squares.push_back(dot(centres.at(c), centres.at(c), n));
  parallel_for(
      points.count(),
      [&](int64_t r) {
        float least = HUGE_VALF;
        for (int64_t c = 0; c < centres.count(); ++c) {
          const float distance = squares[static_cast<size_t>(c)] - 2 * dot(points.at(r), centres.at(c), n);
          if (distance < least) least = distance, group_of[static_cast<size_t>(r)] = static_cast<int32_t>(c);
        }
      },
      kGrain);
}

/// Means of the points of each group; a group without points keeps its centre. By columns: sums in one order.
void move_centres(const Points& points, const std::vector<int32_t>& group_of,
                  infer::Activations& centres) {
  std::vector<int64_t> members(static_cast<size_t>(centres.count()));
  for (const int32_t g : group_of) ++members[static_cast<size_t>(g)];
  parallel_ranges(points.width(), kGrain, [&](int64_t begin, int64_t end) {
    const int64_t width = end - begin;
    std::vector<double> sums(static_cast<size_t>(centres.count() * width));
    for (int64_t r = 0; r < points.count(); ++r)
      for (int64_t j = begin; j < end; ++j)
        sums[static_cast<size_t>(group_of[static_cast<size_t>(r)] * width + j - begin)] += points.at(r)[j];
    for (int64_t c = 0; c < centres.count(); ++c)
      for (int64_t j = begin; j < end && members[static_cast<size_t>(c)]; ++j)
        centres.at(c)[j] = static_cast<float>(sums[static_cast<size_t>(c * width + j - begin)] /
                                              static_cast<double>(members[static_cast<size_t>(c)]));
  });
}

}  // namespace

int64_t row_group_count(int64_t rows) {
  const int64_t count = std::min(kMaxGroups, rows / kMinRows);
  return count > 1 ? count : 0;
}

RowGroups group_rows(const infer::Weight& head, Matrix<const float> inputs) {
  RowGroups groups{row_group_count(head.rows)};
  if (groups.count == 0 || inputs.rows == 0) return {};
  const Points points = features(head, scaled_covariance(inputs));
  infer::Activations centres(groups.count, head.cols);
  for (int64_t c = 0; c < groups.count; ++c)
    std::ranges::copy(points.row(c * head.rows / groups.count), centres.at(c));
  groups.group_of.resize(static_cast<size_t>(head.rows));
  for (int round = 0; round < kRounds; ++round) {
    assign(points, centres, groups.group_of);
    move_centres(points, groups.group_of, centres);
  }
  return groups;
}

RowGroups find_row_groups(ChunkRunner& runner, std::string& tensor) {
  const infer::Weight* head = nullptr;
  std::vector<float> inputs;
  bool one_matrix = true;
  runner.on_logits = [&](const infer::Weight& weight, const infer::Activations& logits) {
    head = &weight;
    one_matrix = weight.matrices == 1 && weight.rows == logits.width();
  };
  const auto keep = [&](const infer::Weight& weight, int64_t, Matrix<const float> rows) {
    if (&weight == head) inputs.insert(inputs.end(), rows.data, rows.data + rows.rows * rows.cols);
  };
  const int64_t enough = (kFirstTokens + runner.chunk_tokens() - 1) / runner.chunk_tokens();
  runner.run(0, std::min(enough, runner.chunks()), keep);
  runner.on_logits = {};
  if (!head || !one_matrix || row_group_count(head->rows) == 0) return {};
  tensor = head->name;
  return group_rows(*head, {inputs.data(), static_cast<int64_t>(inputs.size()) / head->cols, head->cols});
}

infer::Activations sensitivities(const RowGroups& groups, const infer::Activations& logits) {
  infer::Activations out(logits.count(), groups.count);
  parallel_for(logits.count(), [&](int64_t t) {
    const std::span<const float> row = logits.row(t);
    const double log_sum = infer::log_sum_exp(row);
    std::vector<double> sums(static_cast<size_t>(groups.count));
    for (size_t v = 0; v < row.size(); ++v) {
      const double p = std::exp(static_cast<float>(static_cast<double>(row[v]) - log_sum));
      sums[static_cast<size_t>(groups.group_of[v])] += p * (1 - p);
    }
    for (size_t g = 0; g < sums.size(); ++g) out.at(t)[g] = std::max(0.0f, static_cast<float>(sums[g]));
  });
  return out;
}

infer::Activations weighted_inputs(Matrix<const float> inputs, const infer::Activations& sensitivity,
                                   int64_t group) {
  std::vector<int64_t> tokens;
  for (int64_t t = 0; t < inputs.rows; ++t)
    if (sensitivity.at(t)[group] >= kLeast) tokens.push_back(t);
  infer::Activations out(static_cast<int64_t>(tokens.size()), inputs.cols);
  for (int64_t i = 0; i < out.count(); ++i) {
    const int64_t t = tokens[static_cast<size_t>(i)];
    const float root = std::sqrt(sensitivity.at(t)[group]);
    for (int64_t j = 0; j < inputs.cols; ++j) out.at(i)[j] = root * inputs.data[t * inputs.cols + j];
  }
  return out;
}

}  // namespace snug
