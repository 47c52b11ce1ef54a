#pragma once

#include <filesystem>
#include <vector>

#include "snug/model.hpp"

namespace snug {

/// All files that open_model() may read: those of a split, or those in a checkpoint's folder.
std::vector<std::filesystem::path> model_files(const std::filesystem::path& model);

}  // namespace snug
