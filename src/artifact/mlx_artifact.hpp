#pragma once

#include "artifact/artifact.hpp"
#include "mlx/limits.hpp"
#include "mlx/modules.hpp"
#include "mlx/stored.hpp"

namespace snug {

/// A folder that mlx_lm and mlx-swift-lm load: weights in safetensors files of at most the recipe's split_bytes each (or
/// mlx_lm's own limit), their index, config.json, and what the source has of tokenizer and chat template. Sizes
/// are those of the safetensors files alone.
class MlxArtifact final : public Artifact {
 public:
  /// Throws Error unless mlx::modules_of() knows the model's architecture.
  explicit MlxArtifact(ModelSource model);

  int64_t fixed_bytes(const Recipe& recipe) const override;
  int64_t stored_bytes(FormatId format, int64_t data_bytes) const override;
  bool has_notes() const override { return false; }
  bool can_store(std::string_view tensor, FormatId format) const override { return limits_.allow(tensor, format); }
  std::vector<std::vector<std::string>> joined_tensors() const override { return limits_.joined(); }
  FileLayout layout(const Recipe& recipe) const override;
  std::vector<OutputFile> files(const Recipe& recipe, const std::filesystem::path& out) const override;
  std::unique_ptr<ArtifactWriter> open(const Recipe& recipe, const std::filesystem::path& out,
                                       Existing existing) const override;
  std::unique_ptr<ArtifactReader> read_back(const Recipe& recipe, const WrittenModel& written) const override;

 private:
  Recipe storable(Recipe recipe) const;
  mlx::StoredModel stored(const Recipe& recipe) const;

  const ModelSource model_;
  const mlx::StoredModel::Modules modules_;
  const mlx::Limits limits_;
};

}  // namespace snug
