#pragma once

#include <filesystem>

namespace snug::cli {

enum class FileKind { gguf, legacy_imatrix, state, recipe };

/// What a file is, by its first bytes. Throws Error for everything else: names what it seems to be
/// (safetensors, a PyTorch checkpoint, a GGML file from before GGUF, ...) and what to do with it.
FileKind file_kind(const std::filesystem::path& path);

}  // namespace snug::cli
