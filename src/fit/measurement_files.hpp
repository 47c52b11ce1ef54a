#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace snug {

/// What is kept of one model in a folder of measurements.
struct KeptModel {
  std::string name;  // of its file or folder, without ending, when it was first measured
  std::vector<std::filesystem::path> states, collected, others;  // others: where stopped work stands, statuses, and what
                                                                 // writers that were killed left behind
  int64_t state_bytes = 0, collected_bytes = 0, other_bytes = 0;  // on the disk

  int64_t bytes() const { return state_bytes + collected_bytes + other_bytes; }
  int64_t last_used = 0;  // seconds since 1970: the latest change
};

/// All of them, the largest first. An empty list where there is no such folder.
std::vector<KeptModel> kept_models(const std::filesystem::path& folder);

enum class Remove { all, collected };  // collected: statistics of columns, which a fit makes anew where it needs them

/// Removes it and returns the bytes that are free now. Throws Error where a state is being written, before anything is
/// removed, and of Fault::io.
int64_t remove_kept(const KeptModel& model, Remove what);

}  // namespace snug
