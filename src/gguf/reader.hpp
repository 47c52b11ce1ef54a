#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>

#include "snug/model.hpp"

namespace snug::gguf {

/// A GGUF file (v2 or v3), or a split one named by its first file; memory-mapped, zero-copy. Every length,
/// offset, shape and name is checked; a bad file throws Error with path and offset. Names may hold any bytes:
/// show them through printable().
ModelSource read_model(const std::filesystem::path& path);

/// A single file already in memory, which must outlive the result; `name` is for messages.
ModelSource read_model(std::span<const std::byte> bytes, const std::string& name);

}  // namespace snug::gguf
