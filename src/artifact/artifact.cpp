#include "artifact/artifact.hpp"

#include "artifact/gguf_artifact.hpp"

namespace snug {

std::unique_ptr<Artifact> make_artifact(const ModelSource& model, const Importance* importance) {
  return std::make_unique<GgufArtifact>(model, importance);
}

}  // namespace snug
