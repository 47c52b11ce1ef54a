#include "fit/progress/kept_jobs.hpp"

#include <algorithm>
#include <chrono>

#include "base/digest.hpp"
#include "base/str.hpp"
#include "fit/measurements.hpp"

namespace snug {
namespace {

namespace fs = std::filesystem;

constexpr size_t kDigits = 16;  // of the digest in a file's name
constexpr std::chrono::hours kKept{7 * 24};

std::optional<fs::path> job_folder() {
  const auto folder = measurement_folder();
  return folder ? std::optional{*folder / "jobs"} : std::nullopt;
}

}  // namespace

std::optional<fs::path> job_place(const JobStatus& job) {
  const auto folder = job_folder();
  if (!folder) return std::nullopt;
  Hasher hasher;
  for (const std::string& part : {job.command, job.folder, job.model, job.output}) hasher.add(part);
  return *folder / str(job.command, "-", hasher.finish().hex().substr(0, kDigits));
}

std::vector<fs::path> job_places() {
  std::vector<fs::path> places;
  std::error_code unreadable;
  if (const auto folder = job_folder())
    for (const auto& entry : fs::directory_iterator{*folder, unreadable})
      if (entry.path().extension() == ".status") places.push_back(fs::path{entry.path()}.replace_extension());
  std::ranges::sort(places);
  return places;
}

/// With what a program that was killed while it wrote a status has left.
void forget_old_jobs() noexcept try {
  std::error_code unreadable;
  const auto folder = job_folder();
  if (!folder) return;
  for (const auto& entry : fs::directory_iterator{*folder, unreadable}) {
    std::error_code missing;
    const auto word = fs::last_write_time(entry.path(), missing);
    if (!missing && fs::file_time_type::clock::now() - word > kKept) fs::remove(entry.path(), missing);
  }
} catch (...) {  // out of memory: another time
}

}  // namespace snug
