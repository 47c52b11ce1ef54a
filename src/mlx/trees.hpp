#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "mlx/row_order.hpp"
#include "snug/model.hpp"

// The trees of modules that mlx_lm builds, as tables of names.
namespace snug::mlx {

enum class Kind : uint8_t {
  linear,     // a matrix, perhaps with a bias
  experts,    // a stack of matrices
  embedding,
  head,       // a linear outside of the layers' tree; not there where the embedding serves as head
  norm,       // a vector that some architectures store less 1
  parameter,  // stands in its module by a name of its own, without ".weight"
  exact,      // a parameter that stays f32
  decay,      // one of a delta net: f32, the logarithm of what GGUF stores negated
  taps,       // of a convolution by channels: [channels, taps, 1]
  plain,      // any other module that is never quantized
  unused,     // mlx_lm works it out itself
};

/// A tensor of GGUF and the module that has its weights.
struct Row {
  std::string_view from;  // without "blk.N." and without ".weight", ".bias", ".scale"
  std::string_view to;    // behind "model.layers.N." or "model."; a head: the whole path
  Kind kind = Kind::linear;
  std::string_view suffix = {};  // of the tensor, where only that one is meant
  int64_t part = 0, parts = 1;   // of the rows of each matrix
  Order order = Order::same;     // of the rows
  bool reads_values = false;     // its columns are value heads of a delta net, in GGUF's order
};

struct Tree {
  std::string_view architecture;            // GGUF's name, or mlx_lm's where it has two classes for one of those
  std::vector<std::span<const Row>> rows;   // of names in a layer
  std::vector<std::span<const Row>> globals;
  bool norms_plus_one = false;              // GGUF stores norms with 1 added, mlx_lm without
  bool wrapped = false;                     // always a part of a larger model: "language_model."
  bool own_head = false;                    // the head is never the embedding
};

const Tree* find_tree(std::string_view architecture);  // nullptr if unknown

/// Throws Error that lists the known architectures.
const Tree& tree_of(const ModelSource& model);

}  // namespace snug::mlx
