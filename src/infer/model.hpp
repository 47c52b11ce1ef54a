#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "base/large_memory.hpp"
#include "infer/architecture.hpp"
#include "infer/gathered.hpp"
#include "infer/hparams.hpp"
#include "infer/loader.hpp"
#include "snug/model.hpp"

namespace snug::infer {

/// A language model ready to run: its weights are views into the mapped files where rows lie one
/// after another there, copies where they do not. Immutable but for repack(); sessions and threads share it.
class Model {
 public:
  /// Throws Error for a file that is no model, is of an unknown architecture, or lacks a tensor or key.
  explicit Model(ModelSource source);
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  const ModelSource& source() const { return source_; }
  const Hparams& hparams() const { return hp_; }
  const Architecture& architecture() const { return *architecture_; }
  int layers() const { return static_cast<int>(hp_.layers); }
  int64_t vocabulary() const { return hp_.vocab; }

  /// Every matrix the forward pass multiplies with or looks up in, by name.
  const WeightMap& weights() const { return weights_; }
  const Weight* find(std::string_view name) const;
  /// Whether products are computed with this matrix: not with embeddings that are only looked up.
  bool multiplies(std::string_view name) const;

  /// Copies the matrices of products as this machine multiplies them fastest, for Compute::fast: a token takes
  /// less time, the first one later. The memory that takes; 0 where the processor or the formats gain nothing.
  int64_t repacked_bytes() const;
  /// Tells `advance` the bytes that were made. Not while a session is running. Throws std::bad_alloc, or Error of
  /// Fault::interrupted.
  void repack(const std::function<void(int64_t)>& advance = {});

 private:
  ModelSource source_;
  Hparams hp_;
  WeightMap weights_;
  std::deque<Gathered> gathered_;  // matrices whose rows do not lie one after another
  LargeMemory repacked_;
  std::unique_ptr<Architecture> architecture_;
};

}  // namespace snug::infer
