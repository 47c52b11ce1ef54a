#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
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

/// A factor for each channel, moved from the tensor that writes it to those that read it: the channel's root mean square
/// in the calibration text to one power, over that of the weights that read it to another.
struct RecipeFold {
  std::string pair;                // the writer: "blk.0.attn_norm"
  double inputs = 0, weights = 0;  // the powers: multiples of 1/4, from 0 to 1

  bool operator==(const RecipeFold&) const = default;
};

/// What would have made the result better and was left out, though nobody asked for that.
struct LeftOut {
  std::string what;  // "error feedback for inputs wider than 1024"
  std::string why;   // "too little memory or disk was free when the fit began"
  std::string cost;  // of leaving it out

  bool operator==(const LeftOut&) const = default;
};

/// What a budget limits: all files together, or the data of the tensors (a budget of bits per weight).
enum class BudgetKind { none, file, tensors };
std::string_view budget_name(BudgetKind kind);  // as recipes say it: "none", "file", "bpw"

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
  bool notes = true;                    // write the snug.* keys into a GGUF file: about 1 kB and 4 bytes a tensor

  BudgetKind budget_kind = BudgetKind::none;
  int64_t budget_bytes = 0;             // of what the kind says
  int64_t tensor_bytes = 0, file_bytes = 0, weights = 0;
  int64_t split_bytes = 0;
  std::string limits;                   // what was asked for besides the budget: "--max-formats 2, --pin"
  bool loss_known = true;               // false: nobody measured; losses and bound are 0 and mean nothing
  double predicted_loss = 0, certified_bound = 0;  // nats per token; gap = loss - bound
  bool proven_optimal = false;          // the search found that no recipe within budget and limits loses less

  /// What running the recipe gave, on held-out text.
  struct Measured {
    double kl = 0, standard_error = 0;  // nats per token
    int64_t tokens = 0;
    std::string text{};                 // its name: a file's without its folder, or that the model wrote it
    bool operator==(const Measured&) const = default;
  };
  std::optional<Measured> measured;

  std::vector<LeftOut> left_out;        // empty where nothing was
  std::vector<RecipeFold> folds;        // of the source, before it is encoded; they need the imatrix

  std::vector<RecipeTensor> tensors;    // every tensor of the output, in file order

  bool operator==(const Recipe&) const = default;

  /// What a budget of that kind counts of it.
  int64_t counted_bytes(BudgetKind kind) const { return kind == BudgetKind::tensors ? tensor_bytes : file_bytes; }
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
