#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "snug/digest.hpp"

namespace snug {

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
  /// A part that comes in pieces: its length first, then exactly as many bytes.
  Hasher& begin(uint64_t bytes) { return add(bytes); }
  Hasher& more(std::span<const std::byte> piece);
  Digest finish() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

Digest digest_of(std::span<const std::byte> bytes);

}  // namespace snug
