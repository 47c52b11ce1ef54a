#include "base/units.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <string>

#include "base/str.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

struct Unit {
  std::string_view name;
  double bytes;
};

constexpr std::array<Unit, 14> kUnits{{{"", 1},
                                       {"b", 1},
                                       {"kb", 1e3},
                                       {"mb", 1e6},
                                       {"gb", 1e9},
                                       {"tb", 1e12},
                                       {"kib", 0x1p10},
                                       {"mib", 0x1p20},
                                       {"gib", 0x1p30},
                                       {"tib", 0x1p40},
                                       {"k", 1e3},
                                       {"m", 1e6},
                                       {"g", 1e9},
                                       {"t", 1e12}}};

/// Nothing for what is none.
const Unit* find_unit(std::string_view name) {
  std::string small;
  for (const char c : name)
    if (c != ' ') small += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  const auto found = std::ranges::find(kUnits, std::string_view{small}, &Unit::name);
  return found == kUnits.end() ? nullptr : &*found;
}

[[noreturn]] void refuse(std::string_view text) {
  throw Error{str("'", text, "' is not a size"), "", "write it as 11GB (11e9 bytes), 11GiB (11 * 2^30) or a number of bytes",
              Fault::usage};
}

}  // namespace

int64_t parse_size(std::string_view text) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  if (error != std::errc{} || number < 0) refuse(text);
  const Unit* unit = find_unit(text.substr(static_cast<size_t>(end - text.data())));
  if (!unit) refuse(text);
  const double bytes = std::floor(number * unit->bytes);
  if (!(bytes < 0x1p62)) refuse(text);
  return static_cast<int64_t>(bytes);
}

bool is_size_unit(std::string_view word) {
  return !word.empty() && find_unit(word);
}

std::string show_size(int64_t bytes) {
  const auto size = static_cast<double>(bytes);
  if (size >= 1e9) return str(fixed(size / 1e9, 2), " GB (", fixed(size / 0x1p30, 2), " GiB)");
  if (size >= 1e6) return str(fixed(size / 1e6, 2), " MB (", fixed(size / 0x1p20, 2), " MiB)");
  if (size >= 1e3) return str(fixed(size / 1e3, 2), " kB (", fixed(size / 0x1p10, 2), " KiB)");
  return str(bytes, " bytes");
}

std::string show_duration(double seconds) {
  if (!(seconds < 1e9)) return "a long time";
  if (seconds < 10) return str(fixed(seconds, 1), " s");
  const auto whole = static_cast<int64_t>(std::llround(seconds));
  const auto two = [](int64_t n) { return str(n < 10 ? "0" : "", n); };
  if (whole < 60) return str(whole, " s");
  if (whole < 3600) return str(whole / 60, " min ", two(whole % 60), " s");
  return str(whole / 3600, " h ", two(whole / 60 % 60), " min");
}

std::string show_count(int64_t count) {
  std::string digits = std::to_string(count);
  for (auto at = static_cast<int64_t>(digits.size()) - 3; at > (count < 0 ? 1 : 0); at -= 3)
    digits.insert(static_cast<size_t>(at), 1, ',');
  return digits;
}

std::string fixed(double number, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, number);
  return text;
}

std::string significant(double number, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*g", digits, number);
  return text;
}

std::string show_weights(int64_t weights) {
  const auto number = static_cast<double>(weights);
  if (number >= 1e9) return fixed(number / 1e9, 2) + " G";
  if (number >= 1e6) return fixed(number / 1e6, 2) + " M";
  if (number >= 1e3) return fixed(number / 1e3, 2) + " k";
  return str(weights);
}

SizeUnits units_for(int64_t largest) {
  if (largest >= 1'000'000'000) return {"GB", "GiB", 1e9, 0x1p30};
  if (largest >= 1'000'000) return {"MB", "MiB", 1e6, 0x1p20};
  return {"kB", "KiB", 1e3, 0x1p10};
}

}  // namespace snug
