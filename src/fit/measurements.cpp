#include "fit/measurements.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <vector>

#include "base/digest.hpp"
#include "base/files/output_path.hpp"
#include "base/str.hpp"

namespace snug {
namespace {

namespace fs = std::filesystem;

constexpr size_t kDigits = 16;  // of a fingerprint in a file's name

std::optional<fs::path> folder_named_by(const char* variable, const char* below) {
  const char* value = std::getenv(variable);
  if (!value || !*value) return std::nullopt;
  const fs::path folder = fs::path{value} / below;
  return folder.is_absolute() ? std::optional{folder} : std::nullopt;
}

/// The file of a model ends with its fingerprint; what stands before is for people.
std::optional<fs::path> find_in(const fs::path& folder, const std::string& fingerprint) {
  const std::string end = str("-", fingerprint, ".snug-state");
  std::vector<fs::path> found;
  std::error_code unreadable;
  for (const auto& entry : fs::directory_iterator{folder, unreadable})
    if (entry.path().filename().string().ends_with(end)) found.push_back(entry.path());
  if (found.empty()) return std::nullopt;
  return *std::ranges::min_element(found);
}

/// Where earlier versions kept measurements: beside the output.
fs::path default_state(const fs::path& model, const fs::path& folder) {
  return folder / model.stem().concat(".snug-state");
}

bool can_be_made(const fs::path& folder) {
  std::error_code failed;
  fs::create_directories(folder, failed);
  return !failed && access(folder.c_str(), W_OK) == 0;
}

std::string short_fingerprint(const ModelSource& model) {
  return fingerprint(model).hex().substr(0, kDigits);
}

}  // namespace

Digest fingerprint(const ModelSource& model) {
  constexpr int64_t kRows = 3;
  Hasher hasher;
  std::vector<std::byte> row;
  for (const Tensor& tensor : model.tensors()) {
    hasher.add(tensor.name).add(static_cast<uint64_t>(tensor.format)).add_array<int64_t>(tensor.shape);
    if (tensor.row_bytes() == 0) continue;  // of a format nobody knows
    row.resize(static_cast<size_t>(tensor.row_bytes()));
    for (int64_t i = 0; i < std::min(kRows, tensor.rows()); ++i) {
      tensor.read_blocks(i * (tensor.rows() - 1) / std::max<int64_t>(1, kRows - 1), 1, row);
      hasher.add(row);
    }
  }
  return hasher.finish();
}

std::optional<fs::path> measurement_folder() {
  for (const auto& [variable, below] : {std::pair{"SNUG_HOME", ""}, {"XDG_STATE_HOME", "snug"}, {"HOME", ".local/state/snug"}})
    if (auto folder = folder_named_by(variable, below)) return folder;
  return std::nullopt;
}

std::optional<fs::path> existing_measurements(const ModelSource& model, const fs::path& beside) {
  if (const fs::path old = default_state(model.path(), beside); fs::exists(old)) return old;
  const auto folder = measurement_folder();
  return folder ? find_in(*folder, short_fingerprint(model)) : std::nullopt;
}

fs::path measurements_of(const ModelSource& model, const fs::path& beside) {
  if (auto found = existing_measurements(model, beside)) return *found;
  const auto folder = measurement_folder();
  if (!folder || !can_be_made(*folder)) return default_state(model.path(), beside);
  return *folder / str(without_last_slash(model.path()).stem().string(), "-", short_fingerprint(model), ".snug-state");
}

}  // namespace snug
