#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

namespace snug::state {

/// The payload compressed, or nothing where that would not make it clearly smaller, or so small that
/// decompress() would not believe it. Same bytes for the same payload and library version.
std::optional<std::vector<std::byte>> compress(std::span<const std::byte> payload);

/// The inverse. Nothing if the bytes are not one whole frame that says its size, of at most kMaxPayloadBytes
/// and, beyond 1 MiB, at most 256 times their own: no more memory and time is taken than that, whatever the
/// bytes claim.
std::optional<std::vector<std::byte>> decompress(std::span<const std::byte> stored);

}  // namespace snug::state
