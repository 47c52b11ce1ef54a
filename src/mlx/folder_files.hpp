#pragma once

#include <filesystem>
#include <vector>

// What a folder of MLX holds beside the weights.
namespace snug::mlx {

/// The files of a checkpoint's folder that a model needs beside config.json and its weights: tokenizer, chat template,
/// defaults of generation. Sorted.
std::vector<std::filesystem::path> companion_files(const std::filesystem::path& source);

/// Whether a folder holds nothing but what the folder of a model holds, so that another model may take its place.
bool is_model_folder(const std::filesystem::path& folder);

}  // namespace snug::mlx
