#include "artifact/artifact.hpp"

#include <algorithm>
#include <system_error>

#include "artifact/gguf_artifact.hpp"
#include "artifact/mlx_artifact.hpp"
#include "mlx/folder_files.hpp"
#include "recipe/target.hpp"

namespace snug {

std::unique_ptr<Artifact> make_artifact(const ModelSource& model, const Importance* importance, std::string_view runtime) {
  if (find_target(runtime).family == Family::mlx) return std::make_unique<MlxArtifact>(model);
  return std::make_unique<GgufArtifact>(model, importance);
}

void guard_output(OutputGuard& guard, const std::filesystem::path& out, int64_t split_bytes, std::string_view runtime) {
  if (find_target(runtime).family == Family::mlx)
    guard.writes_folder(out, mlx::is_model_folder);
  else
    guard.writes(GgufArtifact::possible_outputs(out, split_bytes));
}

bool is_output_in_place(const std::filesystem::path& out, int64_t split_bytes, std::string_view runtime) {
  std::error_code unknown;
  if (find_target(runtime).family == Family::mlx) return std::filesystem::exists(out, unknown);
  return std::ranges::any_of(GgufArtifact::possible_outputs(out, split_bytes),
                             [&](const auto& file) { return std::filesystem::exists(file, unknown); });
}

}  // namespace snug
