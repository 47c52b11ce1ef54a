#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace snug::infer {

/// How a byte-pair vocabulary wants its text cut into words before merging, by the name in
/// tokenizer.ggml.pre.
struct PreTokenizer {
  std::string names;                  // that share it, blanks between
  std::vector<std::string> patterns;  // applied one after another, each to the pieces of the one before
  bool ignore_merges = false;         // a word that is a token is that token, merges or not
  bool add_bos = false;               // unless tokenizer.ggml.add_bos_token says otherwise
  bool clean_up = true;               // blanks before punctuation are dropped from whole decoded texts
  bool default_bos = true;            // false: no BOS unless the file names one
  bool raw = false;                   // symbols are characters with blanks as U+2581, not mapped bytes
  bool newline_words = false;         // ignore_merges, for words of newlines only
  bool threes_from_right =
      false;  // last of all, runs of ASCII digits are cut so that groups of three end them
};

/// Throws Error that lists the known names.
const PreTokenizer& pre_tokenizer(std::string_view name);

/// All of them, one row for each group of names.
const std::vector<PreTokenizer>& pre_tokenizers();

/// Cuts each piece that holds a run of ASCII digits before every group of three counted from the run's end.
void cut_threes_from_right(std::vector<std::string_view>& pieces);

}  // namespace snug::infer
