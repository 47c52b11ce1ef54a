#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace snug::state {

/// CRC-32C (Castagnoli, reflected polynomial 0x82F63B78), as in iSCSI: of "123456789" it is 0xE3069283.
/// `before` is the value of the bytes that come before these, 0 for none.
uint32_t crc32c(std::span<const std::byte> bytes, uint32_t before = 0) noexcept;

}  // namespace snug::state
