#pragma once

#include <filesystem>
#include <vector>

#include "snug/evidence_options.hpp"
#include "snug/output.hpp"
#include "snug/plan_options.hpp"

namespace snug {

/// One size that a model is fitted into.
struct FitSize {
  PlanOptions plan;
  std::filesystem::path output{};  // the model that is written
  std::filesystem::path recipe{};  // where the recipe is written too, as JSON; empty: nowhere
};

/// A model, the sizes wanted of it, and how hard to try.
struct FitRequest {
  std::filesystem::path model;
  std::vector<FitSize> sizes{};
  EvidenceOptions evidence{};
  std::filesystem::path state{};  // where measurements are kept; empty: the one place for all models
  Existing existing = Existing::refuse;
  bool dry_run = false;  // the plans alone, no model is written
};

}  // namespace snug
