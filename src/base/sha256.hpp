#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace snug {

/// SHA-256 (FIPS 180-4) of bytes that come in pieces: what people compare files by. For our own keys there is Hasher,
/// which is faster.
class Sha256 {
 public:
  Sha256& add(std::span<const std::byte> piece);
  std::string hex() &&;  // of all that was added, 64 digits

 private:
  void take_block(const std::byte* block);

  std::array<uint32_t, 8> sums_{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<std::byte, 64> pending_{};
  uint64_t bytes_ = 0;
};

}  // namespace snug
