#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "hf/tokenizer/tokenizer.hpp"
#include "snug/error.hpp"
#include "support/scratch.hpp"

namespace snug::test {

using hf::add_tokenizer;
using hf::MetadataBuilder;
using nlohmann::json;

/// A checkpoint folder with what a test puts into it.
class TokenizerFolder : public testing::Test {
 protected:
  void put(const std::string& name, const std::string& text) const {
    std::ofstream{folder_ / name, std::ios::binary} << text;
  }
  void put(const std::string& name, const json& value) const { put(name, value.dump()); }

  Metadata keys(const std::string& architecture, int64_t rows, const json& config = json::object()) {
    remarks_.clear();
    builder_ = MetadataBuilder{};
    add_tokenizer(folder_.path(), {architecture, rows, &config, &config, &remarks_}, builder_);
    return builder_.finish("the folder");
  }

  std::string problem(const std::string& architecture, int64_t rows) {
    try {
      keys(architecture, rows);
    } catch (const Error& error) {
      return error.problem();
    }
    return "none";
  }

  /// Whether one of the remarks has these words.
  bool remarks(const std::string& words) const {
    for (const std::string& remark : remarks_)
      if (remark.find(words) != remark.npos) return true;
    return false;
  }

  Scratch folder_;
  std::vector<std::string> remarks_;
  MetadataBuilder builder_;
};

/// An encoding of bytes: two letters, a blank and their join; three added tokens.
inline json byte_level(const std::string& pattern = "") {
  const json bytes{{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", pattern.empty()}};
  json steps = json::array();
  if (!pattern.empty())
    steps.push_back(
        {{"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", "Isolated"}, {"invert", false}});
  steps.push_back(bytes);
  return {{"normalizer", nullptr},
          {"pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", steps}}},
          {"post_processor", nullptr},
          {"added_tokens",
           {{{"id", 4}, {"content", "<|end|>"}, {"special", false}},
            {{"id", 5}, {"content", "▁▁"}, {"special", false}},
            {{"id", 6}, {"content", "<bos>"}, {"special", true}}}},
          {"model",
           {{"type", "BPE"},
            {"vocab", {{"a", 0}, {"b", 1}, {"Ġ", 2}, {"ab", 3}}},
            {"merges", json::array({json::array({"a", "b"}), json::array({" ", "a"})})}}}};
}

/// One of characters with bytes to fall back on.
inline json characters() {
  const json blanks{{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", "▁"}};
  return {{"normalizer",
           {{"type", "Sequence"}, {"normalizers", {{{"type", "Prepend"}, {"prepend", "▁"}}, blanks}}}},
          {"pre_tokenizer", nullptr},
          {"added_tokens", {{{"id", 0}, {"content", "<unk>"}, {"special", true}}}},
          {"model",
           {{"type", "BPE"},
            {"byte_fallback", true},
            {"unk_token", "<unk>"},
            {"vocab",
             {{"<unk>", 0}, {"<0x41>", 1}, {"a", 2}, {"b", 3}, {"▁", 4}, {"ab", 5}, {"▁ab", 6}, {"odd", 7}}},
            {"merges", {"a b", "▁ ab"}}}}};
}

}  // namespace snug::test
