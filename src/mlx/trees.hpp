#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

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
  plain,      // any other module that is never quantized
  unused,     // mlx_lm works it out itself
};

/// Whose heads' rows GGUF keeps in pairs.
enum class Pairs : uint8_t { none, query, key };

/// A tensor of GGUF and the module that has its weights.
struct Row {
  std::string_view from;  // without "blk.N." and without ".weight", ".bias", ".scale"
  std::string_view to;    // behind "model.layers.N." or "model."; a head: the whole path
  Kind kind = Kind::linear;
  std::string_view suffix = {};  // of the tensor, where only that one is meant
  int64_t part = 0, parts = 1;   // of the rows of each matrix
  Pairs pairs = Pairs::none;
};

struct Tree {
  std::string_view architecture;            // GGUF's name
  std::vector<std::span<const Row>> rows;   // of names in a layer
  std::vector<std::span<const Row>> globals;
  bool norms_plus_one = false;              // GGUF stores norms with 1 added
};

const Tree* find_tree(std::string_view architecture);  // nullptr if unknown

/// Throws Error that lists the known architectures.
const Tree& tree_of(const ModelSource& model);

}  // namespace snug::mlx
