#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "artifact/artifact.hpp"
#include "recipe/saved_profile.hpp"

namespace snug {

/// What a plan asks of a model besides its losses.
struct PlannedModel {
  Recipe copy;  // every tensor as it is
  int64_t experts = 0, experts_used = 0;
  bool tied_output = false;  // token_embd is the head too
  std::shared_ptr<const OutputSizes> sizes;
};

/// The sizes are exact: those of make_artifact().
PlannedModel planned_model(const ModelSource& model, const Importance* importance, std::string_view runtime);

/// Without the model at hand. The output is one file, and every expert counts as used.
PlannedModel planned_model(const SavedProfile& saved);

}  // namespace snug
