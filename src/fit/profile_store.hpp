#pragma once

#include <vector>

#include "snug/model.hpp"
#include "imatrix/importance.hpp"
#include "recipe/saved_profile.hpp"
#include "snug/state.hpp"

namespace snug {

/// The profile of a whole model and what a report needs besides.
SavedProfile snapshot_of(const Profile& profile, const ModelSource& model, const Importance* importance);

/// Puts it among the notes of `state`, under a digest of what it was made from: reports need no model then.
void save_profile(Store& state, const Profile& profile, const ModelSource& model,
                  const Importance* importance);

/// All that `state` holds, those with the most probed tensors first. Throws Error on one that is malformed.
std::vector<SavedProfile> saved_profiles(const Store& state, const std::string& where);

}  // namespace snug
