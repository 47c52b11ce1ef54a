#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "snug/model.hpp"

namespace snug::mlx {

/// The tokens of a GGUF file, as its keys list them. Views into the model.
struct Vocabulary {
  enum Kind : int64_t { normal = 1, unknown = 2, control = 3, user_defined = 4, unused = 5, byte = 6 };

  std::vector<std::string_view> tokens;  // by id
  std::vector<int64_t> kinds;            // all normal where the file does not say
  std::vector<double> scores;            // may be empty
  std::vector<std::string_view> merges;  // "left right", the first the best
  std::string_view model, pre;           // "gpt2"; "llama-bpe"
  bool adds_bos = false, adds_eos = false, adds_space = false;

  /// Throws Error where the lists have different lengths.
  explicit Vocabulary(const ModelSource& model);

  std::optional<int64_t> id_of(const Metadata& metadata, const char* role) const;  // in range, else none
  std::string text(int64_t id) const { return std::string{tokens[static_cast<size_t>(id)]}; }
};

/// The pairs that join to tokens, the best first, of a vocabulary that has scores instead: SentencePiece
/// joins the pair whose token has the highest one.
std::vector<std::pair<std::string_view, std::string_view>> merges_of_scores(const Vocabulary& vocabulary);

}  // namespace snug::mlx
