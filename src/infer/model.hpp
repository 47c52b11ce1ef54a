#pragma once

#include <filesystem>
#include <memory>
#include <string_view>

#include "gguf/reader.hpp"
#include "infer/architecture.hpp"
#include "infer/hparams.hpp"
#include "infer/loader.hpp"

namespace snug::infer {

/// A language model ready to run: its weights are views into the mapped file. Immutable; sessions and threads
/// share it.
class Model {
 public:
  /// Throws Error for a file that is no model, is of an unknown architecture, or lacks a tensor or key.
  explicit Model(const std::filesystem::path& path);
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  const gguf::Reader& file() const { return file_; }
  const Hparams& hparams() const { return hp_; }
  const Architecture& architecture() const { return *architecture_; }
  int layers() const { return static_cast<int>(hp_.layers); }
  int64_t vocabulary() const { return hp_.vocab; }

  /// Every matrix the forward pass multiplies with or looks up in, by name.
  const WeightMap& weights() const { return weights_; }
  const Weight* find(std::string_view name) const;

 private:
  gguf::Reader file_;
  Hparams hp_;
  WeightMap weights_;
  std::unique_ptr<Architecture> architecture_;
};

}  // namespace snug::infer
