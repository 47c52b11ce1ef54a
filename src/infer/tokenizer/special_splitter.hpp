#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "infer/tokenizer/vocabulary.hpp"

namespace snug::infer {

/// A stretch of text, or (token >= 0) a token that stood in it verbatim.
struct Fragment {
  std::string_view text;
  int32_t token = -1;
};

/// Cuts special tokens out of a text: the longest first wherever they stand, then the next longest in what is
/// left.
class SpecialSplitter {
 public:
  explicit SpecialSplitter(const Vocabulary& vocabulary);  // which must outlive it

  /// parse_special false: only tokens that are user-defined and nothing else.
  std::vector<Fragment> split(std::string_view text, bool parse_special) const;

 private:
  std::vector<bool> present_in(std::string_view text) const;
  int32_t child(int32_t node, char byte) const;
  int32_t add_child(int32_t node, char byte);

  const Vocabulary& vocabulary_;
  std::vector<int32_t> candidates_;  // longest text first
  // A trie over their texts, root first.
  std::array<int32_t, 256> first_{};  // node behind the root; 0: none
  std::unordered_map<uint64_t, int32_t> edges_;
  std::vector<int32_t> ends_;  // node -> index into candidates_, -1: none
};

}  // namespace snug::infer
