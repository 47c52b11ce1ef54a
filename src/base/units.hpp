#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace snug {

/// "11GB" is 11e9, "11GiB" 11 * 2^30, "512MB", "1.5TiB", a bare number bytes; case-insensitive, rounded down.
/// Throws Error of Fault::usage that shows an example.
int64_t parse_size(std::string_view text);

/// "11.00 GB (10.24 GiB)"; smaller sizes in MB and kB.
std::string show_size(int64_t bytes);

/// "3 h 05 min", "4 min 10 s", "12 s", "0.4 s".
std::string show_duration(double seconds);

/// 1234567 as "1,234,567".
std::string show_count(int64_t count);

}  // namespace snug
