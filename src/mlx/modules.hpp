#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "mlx/row_order.hpp"
#include "snug/model.hpp"

namespace snug::mlx {

/// What happens to the values of an unquantized tensor on their way into the file.
enum class Change : uint8_t {
  none,
  less_one,          // of a norm that GGUF stores with 1 added and MLX without
  log_of_negative,
};

/// A parameter in the tree of modules that mlx_lm builds of a model, and where its weights come from. A module with
/// a bias is there twice, with one path; one that is made of two tensors is there twice under one name; a tensor that
/// two modules share is theirs both.
struct Module {
  std::string path;            // "model.layers.0.self_attn.q_proj", as a recipe or config.json names the module
  std::string name;            // of its tensor where it is not quantized: "model.layers.0.self_attn.q_proj.weight"
  const Tensor* tensor = nullptr;  // of the model, whose rows or values it has; never null
  std::vector<int64_t> shape;  // in weights, row-major: [out, in], [experts, out, in] or [n]
  bool quantizable = false;    // mlx_lm has a class there that can be quantized, and this is its weight
  RowOrder order;              // of a vector: of its values
  Runs columns;                // where the columns lie
  bool transposed = false;     // the tensor's matrices, each the first columns of as many rows of the module
  bool keeps_f32 = false;
  Change change = Change::none;

  int64_t cols() const { return shape.back(); }
  int64_t rows() const;        // through all experts; 1 for a vector
  int64_t weights() const { return rows() * cols(); }
  /// Whether its codes can be the format's: quantizable, and with no group of columns torn.
  bool takes(const Format& format) const;
};

/// The modules of a model under the names that mlx_lm gives them, for the checkpoint's own config.json where the
/// model is the folder of one, else for the text model by itself: embeddings, layers, norm, head. Tensors that mlx_lm
/// has no use for (a head that is tied, divisors of rotary frequencies) are left out. Throws Error that lists the known
/// architectures where this is none of them, and Error naming the tensor where one has no place.
std::vector<Module> modules_of(const ModelSource& model);

/// Whether the module before it in the list has the same name: it is made of both.
bool continues(std::span<const Module> modules, size_t i);

}  // namespace snug::mlx
