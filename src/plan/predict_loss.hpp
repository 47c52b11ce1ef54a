#pragma once

#include "snug/profile.hpp"
#include "snug/recipe.hpp"

namespace snug {

/// Fills in the losses that `profile` predicts, of each tensor and of the whole. False, and the recipe as it
/// was, if it has a tensor or a format that was not measured.
bool predict_loss(const Profile& profile, Recipe& recipe);

}  // namespace snug
