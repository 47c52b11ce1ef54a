#pragma once

#include <optional>
#include <span>

#include "snug/format.hpp"

namespace snug {

/// The format of MLX that holds every block of a GGUF format as it is: the same values, to the bit where nothing
/// overflows f16. None for formats without one (all K and IQ formats): those are decoded and encoded anew.
std::optional<FormatId> lossless_in_mlx(FormatId gguf);

/// Rewrites whole blocks, cols weights of them; `mlx` as lossless_in_mlx() says. False where a block cannot be held
/// (its bias would overflow): the row is then encoded anew.
bool to_mlx(FormatId gguf, std::span<const std::byte> blocks, int64_t cols, std::byte* mlx);

}  // namespace snug
