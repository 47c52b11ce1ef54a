#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "hf/family.hpp"

// How the vision tower of one kind becomes the tensors and keys of a projector file: mostly tables of names.
namespace snug::hf {

/// What a checkpoint says of the images it takes.
struct Images {
  const std::filesystem::path& folder;
  const Config& model;              // the text model's values
  const Config& vision;             // vision_config
  const nlohmann::json& processor;  // preprocessor_config.json and processor_config.json as one object

  /// Error naming the files where the numbers are missing.
  std::vector<float> processor_reals(const char* key) const;
};

/// What a kind of projector hears with, where the checkpoint has an audio_config.
struct Hearing {
  std::span<const Rule> rules;
  void (*keys)(const Config& model, const Config& audio, Keys& keys);
  std::string_view needed;        // as in ProjectorKind
  std::string_view needed_layer;
};

/// A kind of projector. In its rules '#' stands for the number of a layer.
struct ProjectorKind {
  std::string_view type;  // GGUF's name
  /// A tensor's name in the rules; nothing for what the projector does not need.
  std::optional<std::string> (*name)(std::string_view);
  std::span<const Rule> rules;
  void (*keys)(const Images& images, Keys& keys);
  std::string_view needed;        // tensors by their GGUF names, separated by blanks
  std::string_view needed_layer;  // of every layer
  void (*generate)(const Images& images, const Sources& sources, Output& out) = nullptr;
  const Hearing* hearing = nullptr;  // null: it takes images only
};

// Each in projectors/<name>.cpp.
extern const ProjectorKind kGemma3Projector, kGemma4Projector, kPixtralProjector, kQwen2VlProjector, kQwen25VlProjector,
    kQwen3VlProjector;

extern const Hearing kGemma4Hearing;

/// The layers of the tower, and its heads, by any of their names.
int64_t vision_layers(const Config& vision);
int64_t vision_heads(const Config& vision);

/// What stands behind a prefix, or nothing.
std::optional<std::string> behind(std::string_view name, std::string_view prefix);

/// The name inside the tower of a Qwen VL, "visual." or "model.visual.".
std::optional<std::string> visual_name(std::string_view given);
/// A patch embedding over two frames, [width, 3, 2, side, side], as two: loaders take each frame by itself.
void add_frames(const Piece& piece, Output& out);

/// As f32: loaders convolve and look positions up in nothing smaller.
void add_as_f32(const Piece& piece, Output& out);

}  // namespace snug::hf
