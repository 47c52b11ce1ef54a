#pragma once

#include "artifact/artifact.hpp"

namespace snug {

/// A GGUF file, or several of at most the recipe's split_bytes each, as llama-quantize would write it: its keys, and
/// recipe_keys() where the recipe wants notes. The header's size does not depend on the formats.
class GgufArtifact final : public Artifact {
 public:
  GgufArtifact(ModelSource model, const Importance* importance);

  static std::vector<std::filesystem::path> possible_outputs(const std::filesystem::path& out, int64_t split_bytes);

  int64_t fixed_bytes(const Recipe& recipe) const override;
  int64_t stored_bytes(FormatId format, int64_t data_bytes) const override;
  bool has_notes() const override { return true; }
  FileLayout layout(const Recipe& recipe) const override;
  std::vector<OutputFile> files(const Recipe& recipe, const std::filesystem::path& out) const override;
  std::unique_ptr<ArtifactWriter> open(const Recipe& recipe, const std::filesystem::path& out,
                                       Existing existing) const override;
  std::unique_ptr<ArtifactReader> read_back(const Recipe& recipe, const WrittenModel& written) const override;

 private:
  const ModelSource model_;
  const Importance* importance_;
};

/// The sizes of a GGUF file in one piece whose header takes `header_bytes`: plans without the model at hand.
class GgufSizes final : public OutputSizes {
 public:
  explicit GgufSizes(int64_t header_bytes) : header_bytes_(header_bytes) {}

  int64_t fixed_bytes(const Recipe&) const override { return header_bytes_; }
  int64_t stored_bytes(FormatId format, int64_t data_bytes) const override;
  bool has_notes() const override { return true; }
  FileLayout layout(const Recipe& recipe) const override;

 private:
  int64_t header_bytes_;
};

}  // namespace snug
