#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
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

/// Digests a sequence of parts. Each part is prefixed with its length, so parts cannot run into each other.
class Hasher {
 public:
  Hasher();
  ~Hasher();
  Hasher(const Hasher&) = delete;
  Hasher& operator=(const Hasher&) = delete;

  Hasher& add(std::span<const std::byte> part);
  Hasher& add(std::string_view part);
  Hasher& add(uint64_t number);
  template <class T>
  Hasher& add_array(std::span<const T> values) { return add(std::as_bytes(values)); }
  Digest finish() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

Digest digest_of(std::span<const std::byte> bytes);

}  // namespace snug
