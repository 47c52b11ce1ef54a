#include "state/crc32c.hpp"

#include <array>
#include <cstring>

namespace snug::state {
namespace {

using Tables = std::array<std::array<uint32_t, 256>, 8>;

/// tables[k][b]: what byte b adds to the checksum when k zero bytes follow it.
constexpr Tables make_tables() {
  Tables tables{};
  for (uint32_t b = 0; b < 256; ++b) {
    uint32_t crc = b;
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78u : 0);
    tables[0][b] = crc;
  }
  for (size_t k = 1; k < tables.size(); ++k)
    for (size_t b = 0; b < 256; ++b) tables[k][b] = tables[k - 1][b] >> 8 ^ tables[0][tables[k - 1][b] & 255];
  return tables;
}

constexpr Tables kTables = make_tables();

}  // namespace

uint32_t crc32c(std::span<const std::byte> bytes, uint32_t before) noexcept {
  uint32_t crc = ~before;
  while (bytes.size() >= 8) {
    uint64_t eight;
    std::memcpy(&eight, bytes.data(), 8);
    eight ^= crc;
    crc = 0;
    for (size_t i = 0; i < 8; ++i) crc ^= kTables[7 - i][eight >> 8 * i & 255];
    bytes = bytes.subspan(8);
  }
  for (const std::byte b : bytes) crc = crc >> 8 ^ kTables[0][(crc ^ static_cast<uint32_t>(b)) & 255];
  return ~crc;
}

}  // namespace snug::state
