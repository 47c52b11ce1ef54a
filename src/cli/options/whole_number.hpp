#pragma once

#include <CLI/CLI.hpp>
#include <charconv>
#include <cstdint>
#include <limits>
#include <string>

#include "base/str.hpp"

namespace snug::cli {

/// Lets through a whole number of `least` or more. CLI11's own range for that names both ends, the upper one
/// in hundreds of digits, and takes what is too large for its largest number.
inline CLI::Validator at_least(int64_t least) {
  const auto check = [least](const std::string& text) {
    int64_t number = 0;
    const auto [end, bad] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (bad == std::errc::result_out_of_range)
      return str(text, " is too large; at most ", std::numeric_limits<int64_t>::max());
    if (bad != std::errc{} || end != text.data() + text.size() || number < least)
      return str("'", text, "' is not a whole number of ", least, " or more");
    return std::string{};
  };
  return CLI::Validator{check, ""};
}

}  // namespace snug::cli
