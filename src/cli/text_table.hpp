#pragma once

#include <cstdint>
#include <string>

namespace snug::cli {

/// Text in columns. Widths count bytes: for names and numbers, not for prose.
std::string right(std::string text, size_t width);
std::string left(std::string text, size_t width);
std::string fixed(double number, int digits);  // 4.500
std::string significant(double number);        // 4 significant digits
std::string show_weights(int64_t weights);     // "6.74 G", "131.07 k", "256"

/// The units of a whole table of sizes, so that its lines compare at a glance.
struct SizeUnits {
  const char* decimal_name;
  const char* binary_name;
  double decimal, binary;
};
SizeUnits units_for(int64_t largest);

}  // namespace snug::cli
