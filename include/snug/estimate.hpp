#pragma once

namespace snug {

/// A mean over tokens and its standard error.
struct Estimate {
  double value = 0, error = 0;

  bool operator==(const Estimate&) const = default;
};

}  // namespace snug
