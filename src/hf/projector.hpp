#pragma once

#include <filesystem>

#include "snug/model.hpp"

namespace snug::hf {

/// Opens what a multimodal checkpoint sees images with, its vision tower and the projection into the text model, under
/// the names and keys of llama.cpp's projector files (mmproj). Nothing is copied. Throws Error where the folder is no
/// multimodal checkpoint, its tower is of a kind that is not known, or a tensor is missing or has no place.
ModelSource open_projector(const std::filesystem::path& folder);

}  // namespace snug::hf
