#pragma once

#include <filesystem>

#include "snug/model.hpp"

namespace snug::hf {

/// Whether a path is the folder of a Hugging Face checkpoint: it holds config.json.
bool is_checkpoint(const std::filesystem::path& path);

/// Opens the folder of a checkpoint as a model with GGUF's names and keys. Weights stay where they are and are read
/// in place wherever their rows lie as GGUF wants them. Parts that belong to no text model are left out and said in
/// remarks(). So does a folder that MLX wrote, quantized or not. Throws Error where a file is missing or damaged, the class of the model or its way of quantizing is
/// unknown, or a tensor is missing or has no place.
ModelSource open_checkpoint(const std::filesystem::path& folder);

}  // namespace snug::hf
