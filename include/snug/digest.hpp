#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

namespace snug {

/// A 128-bit content digest (XXH3, canonical big-endian bytes).
struct Digest {
  std::array<uint8_t, 16> bytes{};
  auto operator<=>(const Digest&) const = default;
  std::string hex() const;                        // 32 lower-case digits
  static Digest from_hex(std::string_view text);  // throws Error
};

}  // namespace snug
