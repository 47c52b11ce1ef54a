#pragma once

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>
#include <string>
#include <vector>

namespace snug {

inline std::vector<double> ranks(const std::vector<double>& values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::sort(order, {}, [&](size_t i) { return values[i]; });
  std::vector<double> rank(values.size());
  for (size_t i = 0; i < order.size(); ++i) rank[order[i]] = static_cast<double>(i);
  return rank;
}

inline double correlation(const std::vector<double>& a, const std::vector<double>& b) {
  const auto n = static_cast<double>(a.size());
  const double ma = std::reduce(a.begin(), a.end()) / n, mb = std::reduce(b.begin(), b.end()) / n;
  double ab = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    ab += (a[i] - ma) * (b[i] - mb);
    aa += (a[i] - ma) * (a[i] - ma);
    bb += (b[i] - mb) * (b[i] - mb);
  }
  return ab / std::sqrt(aa * bb);
}

inline double quantile(std::vector<double> values, double at) {
  std::ranges::sort(values);
  return values[static_cast<size_t>(at * static_cast<double>(values.size() - 1) + 0.5)];
}

/// Rank correlation, level, and within which factor of it half and nine of ten of `found` lie of `truth`.
inline void print_line(const char* what, const std::vector<double>& found, const std::vector<double>& truth,
                const std::vector<std::string>& names) {
  std::vector<double> ratio, factor;
  for (size_t i = 0; i < truth.size(); ++i) ratio.push_back(found[i] / truth[i]);
  const double level = quantile(ratio, .5);
  for (const double r : ratio) factor.push_back(std::exp(std::abs(std::log(r / level))));
  const auto worst = static_cast<size_t>(std::ranges::max_element(factor) - factor.begin());
  std::printf("  %-10s rank %.3f level %.3f half %.3f nine %.3f worst %.2f (%s, ratio %.2f) sum %.3f\n", what,
              correlation(ranks(found), ranks(truth)), level, quantile(factor, .5), quantile(factor, .9),
              factor[worst], names[worst].c_str(), ratio[worst],
              std::reduce(found.begin(), found.end()) / std::reduce(truth.begin(), truth.end()));
}

}  // namespace snug
