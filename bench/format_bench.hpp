#pragma once

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "snug/format.hpp"

namespace snug {

template <class Work>
double seconds(Work&& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

inline double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::ranges::sort(values);
  return values[values.size() / 2];
}

/// What a bench of formats is asked for.
struct FormatBench {
  int64_t mib;
  int repeats;
  std::vector<std::string> names{};

  void add_to(CLI::App& app, const char* mib_of, int most_mib) {
    app.add_option("--format", names);
    app.add_option("--mib", mib, mib_of)->check(CLI::Range(1, most_mib));
    app.add_option("-r", repeats)->check(CLI::PositiveNumber);
  }
  bool wants(const Format& format) const {
    return names.empty() || std::ranges::find(names, format.name) != names.end();
  }
};

}  // namespace snug
