#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "mlx/modules.hpp"

namespace snug::mlx {

/// What a model's tensors can be in a file of MLX, beyond what a format asks of their rows. The modules
/// outlive it.
class Limits {
 public:
  explicit Limits(std::span<const Module> modules);

  /// Whether a tensor can have a format: unquantized always; quantized where MLX has the format, or one for
  /// the same blocks, and mlx_lm has a module for the tensor that can be.
  bool allow(std::string_view tensor, FormatId format) const;

  /// Tensors that are one module together, and so have one format, set by set.
  const std::vector<std::vector<std::string>>& joined() const { return joined_; }

 private:
  std::map<std::string_view, std::vector<const Module*>> modules_;  // by tensor
  std::vector<std::vector<std::string>> joined_;
};

}  // namespace snug::mlx
