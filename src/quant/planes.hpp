#pragma once

#include <span>

#include "snug/format.hpp"

namespace snug {

/// Takes one plane out of blocks that follow each other: of every block its `plane.bytes` bytes, in the blocks'
/// order. `to` has blocks.size() / format.block_bytes * plane.bytes bytes.
void split_plane(const Format& format, const Plane& plane, std::span<const std::byte> blocks,
                 std::span<std::byte> to);

/// The inverse: puts a plane into blocks, whose other bytes stay. All planes of a format make whole blocks.
void join_plane(const Format& format, const Plane& plane, std::span<const std::byte> from,
                std::span<std::byte> blocks);

}  // namespace snug
