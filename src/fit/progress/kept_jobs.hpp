#pragma once

#include <filesystem>
#include <optional>
#include <vector>

#include "fit/progress/job_status.hpp"

namespace snug {

/// Where the status lies of work that has no measurements to put it beside: in the one place for measurements, for
/// JobProgress and read_status(). The same command on the same model and output has the same. Nothing where no such place
/// is named.
std::optional<std::filesystem::path> job_place(const JobStatus& job);

/// All places where such a status lies.
std::vector<std::filesystem::path> job_places();

/// Removes statuses that have had no word for a week: they are of no use to anybody.
void forget_old_jobs() noexcept;

}  // namespace snug
