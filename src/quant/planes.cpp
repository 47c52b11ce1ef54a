#include "quant/planes.hpp"

#include <cstring>

#include "base/str.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

/// How many blocks there are; throws where the plane's bytes are not those of as many.
size_t count_blocks(const Format& format, const Plane& plane, size_t block_bytes, size_t plane_bytes) {
  const size_t count = block_bytes / format.block_bytes;
  if (count * format.block_bytes != block_bytes || count * plane.bytes != plane_bytes)
    throw Error{str(plane_bytes, " bytes of ", plane.name, " do not belong to ", block_bytes, " bytes of ",
                    format.name),
                "", "give both as many blocks"};
  return count;
}

}  // namespace

void split_plane(const Format& format, const Plane& plane, std::span<const std::byte> blocks,
                 std::span<std::byte> to) {
  const size_t count = count_blocks(format, plane, blocks.size(), to.size());
  for (size_t b = 0; b < count; ++b)
    std::memcpy(to.data() + b * plane.bytes, blocks.data() + b * format.block_bytes + plane.at, plane.bytes);
}

void join_plane(const Format& format, const Plane& plane, std::span<const std::byte> from,
                std::span<std::byte> blocks) {
  const size_t count = count_blocks(format, plane, blocks.size(), from.size());
  for (size_t b = 0; b < count; ++b)
    std::memcpy(blocks.data() + b * format.block_bytes + plane.at, from.data() + b * plane.bytes, plane.bytes);
}

}  // namespace snug
