#include "cli/text_table.hpp"

#include <cstdio>

#include "base/str.hpp"

namespace snug::cli {

std::string fixed(double number, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, number);
  return text;
}

std::string significant(double number) {
  char text[64];
  std::snprintf(text, sizeof text, "%.4g", number);
  return text;
}

std::string right(std::string text, size_t width) {
  return text.size() < width ? std::string(width - text.size(), ' ') + text : text;
}

std::string left(std::string text, size_t width) {
  if (text.size() < width) text.resize(width, ' ');
  return text;
}

SizeUnits units_for(int64_t bytes) {
  if (bytes >= 1'000'000'000) return {"GB", "GiB", 1e9, 0x1p30};
  if (bytes >= 1'000'000) return {"MB", "MiB", 1e6, 0x1p20};
  return {"kB", "KiB", 1e3, 0x1p10};
}

std::string show_weights(int64_t weights) {
  const auto number = static_cast<double>(weights);
  if (number >= 1e9) return fixed(number / 1e9, 2) + " G";
  if (number >= 1e6) return fixed(number / 1e6, 2) + " M";
  if (number >= 1e3) return fixed(number / 1e3, 2) + " k";
  return str(weights);
}

}  // namespace snug::cli
