#pragma once

#include <filesystem>
#include <vector>

#include "snug/model.hpp"

namespace snug {

/// All files that open_model() may read: those of a split, or those in a checkpoint's folder.
std::vector<std::filesystem::path> model_files(const std::filesystem::path& model);

/// What the checkpoint in a folder sees images with, as a model of its own: a projector file (mmproj). Its remarks go where
/// open_model()'s go. Throws Error where there is no such part, or it is of a kind that is not known.
ModelSource open_projector(const std::filesystem::path& folder);

}  // namespace snug
