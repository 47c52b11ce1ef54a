#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "snug/model.hpp"

namespace snug::mlx {

/// Where the rows of a tensor lie in the file of MLX. Rows count through all matrices of a stack of experts.
struct RowOrder {
  /// Of every `matrix` rows of the source the `count` from `first` on are the module's; the others are another's.
  int64_t matrix = 1, first = 0, count = 1;
  /// Rows of a head that GGUF keeps as pairs of neighbours and MLX as halves; 0 where both have one order.
  int64_t head = 0;

  /// The module's row that a row of the source becomes; -1 where it is none of the module's.
  int64_t place(int64_t source_row) const;
};

/// A parameter in the tree of modules that mlx_lm builds of a model, and where its weights come from. A module with
/// a bias is there twice, with one path; a tensor that two modules share is theirs both.
struct Module {
  std::string path;            // "model.layers.0.self_attn.q_proj", as a recipe or config.json names the module
  std::string name;            // of its tensor where it is not quantized: "model.layers.0.self_attn.q_proj.weight"
  const Tensor* tensor = nullptr;  // of the model, whose rows or values it has; never null
  std::vector<int64_t> shape;  // in weights, row-major: [out, in], [experts, out, in] or [n]
  bool quantizable = false;    // mlx_lm has a class there that can be quantized, and this is its weight
  RowOrder order;              // of a vector: of its values
  bool less_one = false;       // a norm that GGUF stores with 1 added and MLX without

  int64_t cols() const { return shape.back(); }
  int64_t rows() const;        // through all experts; 1 for a vector
  int64_t weights() const { return rows() * cols(); }
};

/// The modules of a model under the names that mlx_lm gives them, for the checkpoint's own config.json where the
/// model is the folder of one, else for the text model by itself: embeddings, layers, norm, head. Tensors that mlx_lm
/// has no use for (a head that is tied, divisors of rotary frequencies) are left out. Throws Error that lists the known
/// architectures where this is none of them, and Error naming the tensor where one has no place.
std::vector<Module> modules_of(const ModelSource& model);

}  // namespace snug::mlx
