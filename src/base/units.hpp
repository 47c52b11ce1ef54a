#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace snug {

/// "11GB" is 11e9, "11GiB" 11 * 2^30, "512MB", "1.5TiB", a bare number bytes; case-insensitive, rounded down.
/// Throws Error of Fault::usage that shows an example.
int64_t parse_size(std::string_view text);

/// Whether it is what parse_size() takes behind a number, such as "MB".
bool is_size_unit(std::string_view word);

/// "11.00 GB (10.24 GiB)"; smaller sizes in MB and kB.
std::string show_size(int64_t bytes);

/// "3 h 05 min", "4 min 10 s", "12 s", "0.4 s".
std::string show_duration(double seconds);

/// 1234567 as "1,234,567".
std::string show_count(int64_t count);

/// "6.74 G", "131.07 k", "256".
std::string show_weights(int64_t weights);

std::string fixed(double number, int digits);  // 4.500
std::string significant(double number, int digits = 4);

/// The units of a whole table of sizes, so that its lines compare at a glance.
struct SizeUnits {
  const char* decimal_name;
  const char* binary_name;
  double decimal, binary;
};
SizeUnits units_for(int64_t largest);

}  // namespace snug
