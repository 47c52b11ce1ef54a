#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "snug/model.hpp"

namespace snug::infer {

enum class Special {
  bos,
  eos,
  eot,
  eom,
  unk,
  sep,
  pad,
  mask,
  fim_prefix,
  fim_suffix,
  fim_middle,
  fim_pad,
  fim_repo,
  fim_file_sep,
  count
};

enum class VocabularyKind { spm, bpe, gemma4 };  // tokenizer.ggml.model: llama, gpt2, gemma4

/// The tokens of a model with what is known of each, after the corrections llama.cpp makes when it loads one.
/// Texts are views into the file.
class Vocabulary {
 public:
  enum Attribute : uint8_t {
    normal = 1,
    unknown = 2,
    control = 4,
    user_defined = 8,
    byte = 16,
    trims_right = 32
  };

  /// Throws Error for a file without a tokenizer, of an unknown kind, or with lists that do not fit together.
  /// default_bos false: no BOS unless the file names one (as some pre-tokenizers have it).
  Vocabulary(const ModelSource& file, VocabularyKind kind, bool default_bos);

  VocabularyKind kind() const { return kind_; }
  int32_t size() const { return static_cast<int32_t>(texts_.size()); }
  std::string_view text(int32_t id) const { return texts_[static_cast<size_t>(id)]; }
  float score(int32_t id) const { return scores_.empty() ? 0.0f : scores_[static_cast<size_t>(id)]; }
  bool is(int32_t id, int attributes) const { return attributes_[static_cast<size_t>(id)] & attributes; }
  int32_t find(std::string_view text) const;                                             // -1: none
  int32_t special(Special which) const { return special_[static_cast<size_t>(which)]; }  // -1: none
  bool ends_generation(int32_t id) const { return ends_[static_cast<size_t>(id)]; }

 private:
  void read_tokens(const ModelSource& file);
  void read_scores(const ModelSource& file);
  void read_types(const ModelSource& file);
  void find_specials(const ModelSource& file, bool default_bos);
  void find_ends();
  void trim_after_specials();
  void set_only(std::string_view text, Attribute attribute);

  VocabularyKind kind_;
  std::vector<std::string_view> texts_;
  std::deque<std::string> made_up_;  // texts of tokens that have none
  std::vector<float> scores_;        // empty: all 0
  std::vector<uint8_t> attributes_;
  std::vector<bool> ends_;
  std::unordered_map<std::string_view, int32_t> ids_;
  std::array<int32_t, static_cast<size_t>(Special::count)> special_{};
};

/// Throws Error that lists the kinds known, also for a file without a tokenizer.
VocabularyKind vocabulary_kind(const ModelSource& file);

}  // namespace snug::infer
