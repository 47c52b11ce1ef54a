#pragma once

#include <filesystem>
#include <vector>

#include "snug/evidence_options.hpp"
#include "snug/plan_options.hpp"

namespace snug {

/// Where collected files are kept, and where else one may lie that was collected before (empty: nowhere).
struct CollectionFolders {
  std::filesystem::path keep{}, also{};
};

/// What is to be known of a model before a plan is made.
struct EvidenceRequest {
  std::filesystem::path state;  // where measurements are kept
  EvidenceOptions options;
  std::vector<PlanOptions> plans{};  // refused at the start where a budget cannot be reached
  CollectionFolders collect{};       // of a fit; without them what is missing stays missing, and nothing is judged

  /// Whether it is a fit, which collects what it was not given and judges what it plans.
  bool is_fit() const { return !collect.keep.empty(); }
};

}  // namespace snug
