#include "artifact/artifact.hpp"

#include "artifact/gguf_artifact.hpp"

namespace snug {

std::unique_ptr<Artifact> make_artifact(const ModelSource& model, const Importance* importance) {
  return std::make_unique<GgufArtifact>(model, importance);
}

std::vector<std::filesystem::path> possible_outputs(const std::filesystem::path& out, int64_t split_bytes) {
  return GgufArtifact::possible_outputs(out, split_bytes);
}

}  // namespace snug
