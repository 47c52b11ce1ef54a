#include "hf/tokenizer/losses.hpp"

#include "hf/tokenizer_folder.hpp"

namespace snug::hf {
namespace {

using nlohmann::json;
using test::byte_level;
using test::characters;
using test::TokenizerFolder;

TEST_F(TokenizerFolder, CharactersThatArePartedFirstAreRefused) {
  json tokenizer = characters();
  tokenizer["pre_tokenizer"] = {{"type", "Digits"}, {"individual_digits", true}};
  put("tokenizer.json", tokenizer);
  EXPECT_NE(problem("llama", 0).find("Digits"), std::string::npos);
  tokenizer["pre_tokenizer"] = {{"type", "Split"}, {"pattern", {{"String", " "}}}, {"behavior", "MergedWithPrevious"}};
  put("tokenizer.json", tokenizer);
  EXPECT_EQ(problem("llama", 0), "none") << "blanks are marked: there are none to part at";
}

TEST_F(TokenizerFolder, WhatOnlySomeTextsShowIsRemarked) {
  const auto remarked = [&](json tokenizer, const char* pointer, const json& value, const char* words) {
    tokenizer[json::json_pointer{pointer}] = value;
    put("tokenizer.json", tokenizer);
    keys("llama", 9);
    EXPECT_TRUE(remarks(words)) << words;
  };
  remarked(byte_level(), "/normalizer", {{"type", "NFC"}}, "NFC");
  remarked(byte_level(), "/model/dropout", 0.1, "dropout");
  remarked(byte_level(), "/pre_tokenizer/pretokenizers/0/add_prefix_space", true, "add_prefix_space");
  remarked(characters(), "/added_tokens/0/normalized", true, "normalized");
  remarked(characters(), "/model/merges", {"a b", "▁ a", "▁ ab", "a b"}, "another order");
  const json token{{"SpecialToken", {{"id", "<bos>"}, {"type_id", 0}}}}, text{{"Sequence", {{"id", "A"}, {"type_id", 0}}}};
  remarked(byte_level(), "/post_processor", {{"type", "TemplateProcessing"}, {"single", {token, token, text}}},
           "more tokens than a first");
}

}  // namespace
}  // namespace snug::hf
