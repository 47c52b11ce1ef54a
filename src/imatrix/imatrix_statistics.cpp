#include "imatrix/imatrix_statistics.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "model/roles.hpp"

namespace snug {
namespace {

constexpr double kRarely = 0.1;  // of the tokens an expert would get if all got the same

/// Sums over matrices divided by `tokens`.
std::vector<double> pooled(const std::vector<float>& sums, int64_t cols, double tokens) {
  std::vector<double> means(static_cast<size_t>(cols));
  for (size_t i = 0; i < sums.size(); ++i) means[i % means.size()] += sums[i];
  for (double& mean : means) mean /= tokens;
  return means;
}

void count_hits(const std::vector<float>& counts, double tokens, TensorStatistics& s) {
  if (counts.size() < 2) return;
  const double least = kRarely * tokens / static_cast<double>(counts.size());
  for (const float count : counts) {
    s.never_hit += count <= 0;
    s.rarely_hit += count > 0 && count < least;
  }
}

void describe(const std::vector<double>& v, size_t top, TensorStatistics& s) {
  double squares = 0;
  for (const double x : v) {
    s.energy += x;
    squares += x * x;
  }
  if (!(s.energy > 0)) return;
  s.effective = s.energy * s.energy / squares;
  for (const double x : v)
    if (x > 0) s.entropy -= x / s.energy * std::log2(x / s.energy);
  std::vector<int64_t> order(v.size());
  std::iota(order.begin(), order.end(), int64_t{0});
  const auto end = order.begin() + static_cast<std::ptrdiff_t>(std::min(top, order.size()));
  std::partial_sort(order.begin(), end, order.end(), [&](int64_t a, int64_t b) {
    const double x = v[static_cast<size_t>(a)], y = v[static_cast<size_t>(b)];
    return x != y ? x > y : a < b;
  });
  for (auto at = order.begin(); at != end; ++at)
    s.top.push_back({*at, v[static_cast<size_t>(*at)] / s.energy});
}

TensorStatistics statistics_of(const std::string& name, const ImatrixSums& sums, size_t top) {
  TensorStatistics s;
  s.tensor = name;
  s.cols = sums.cols;
  s.mats = sums.mats;
  for (const float count : sums.counts) s.tokens += count;
  count_hits(sums.counts, s.tokens, s);
  if (!(s.tokens > 0)) return s;
  describe(pooled(sums.in_sum2, sums.cols, s.tokens), top, s);
  if (sums.in_sum.empty() || !(s.energy > 0)) return s;
  s.mean_share = 0;
  for (const double m : pooled(sums.in_sum, sums.cols, s.tokens)) s.mean_share += m * m / s.energy;
  return s;
}

}  // namespace

std::vector<TensorStatistics> statistics_of(const Imatrix& imatrix, size_t top) {
  std::vector<TensorStatistics> all;
  double energy = 0;
  for (const auto& [name, sums] : imatrix.tensors) {
    all.push_back(statistics_of(name, sums, top));
    energy += all.back().energy;
  }
  for (TensorStatistics& s : all) s.share = energy > 0 ? s.energy / energy : 0;
  std::ranges::stable_sort(all, {}, [](const TensorStatistics& s) { return layer_of(s.tensor); });
  return all;
}

}  // namespace snug
