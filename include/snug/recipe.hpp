#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "snug/format.hpp"

namespace snug {

struct RecipeTensor {
  std::string name;
  FormatId format{};
  int64_t bytes = 0;   // of its data, without padding
  double loss = 0;     // predicted, nats per token; 0 for tensors copied as they are
  bool copied = false; // as in the source: not a choice
  bool unweighted = false;  // the imatrix has nothing for it; false where there is no imatrix

  bool operator==(const RecipeTensor&) const = default;
};

/// A plan, complete in itself: what `quantize` needs to give the same bytes again, and why it is the best.
/// Schema: docs/recipe.md.
struct Recipe {
  static constexpr int kVersion = 1;

  std::string made_by;                  // "snug 0.1.0"
  std::string architecture, model_name;
  std::string model_digest;             // names, shapes and formats of the source's tensors
  std::string imatrix_digest;           // empty without an imatrix
  std::string state_digest;
  std::string runtime = "llama.cpp";
  std::string method;                   // "optimal", "preset q4_k_m", "uniform q6_K"
  Effort effort = Effort::normal;
  bool error_feedback = false;          // encoded with the second moments of the imatrix, where it has them
  bool notes = true;                    // the file says how it was made: four keys, some 190 bytes

  std::string budget_kind;              // "file", "bpw", "none"
  int64_t budget_bytes = 0;             // of the file, or of the tensor bytes for "bpw"
  int64_t tensor_bytes = 0, file_bytes = 0, weights = 0;
  int64_t split_bytes = 0;
  std::string limits;                   // what was asked for besides the budget: "--max-formats 2, --pin"
  bool loss_known = true;               // false: nobody measured; losses and bound are 0 and mean nothing
  double predicted_loss = 0, certified_bound = 0;  // nats per token; gap = loss - bound
  bool proven_optimal = false;          // the search found that no recipe within budget and limits loses less

  /// What running the recipe gave, on text that nothing was learnt from.
  struct Measured {
    double kl = 0, standard_error = 0;  // nats per token
    int64_t tokens = 0;
    bool operator==(const Measured&) const = default;
  };
  std::optional<Measured> measured;

  std::vector<RecipeTensor> tensors;    // every tensor of the output, in file order

  bool operator==(const Recipe&) const = default;

  double gap() const { return predicted_loss - certified_bound; }
  double bits_per_weight() const {
    return weights ? 8.0 * static_cast<double>(tensor_bytes) / static_cast<double>(weights) : 0;
  }
};

/// JSON in and out. parse_recipe throws Error that names the field and what was expected there.
std::string to_json(const Recipe& recipe);
Recipe parse_recipe(const std::string& json, const std::string& where);

/// Digest over what the recipe does (tensor names, formats, effort): 32 hex digits.
std::string recipe_digest(const Recipe& recipe);

}  // namespace snug
