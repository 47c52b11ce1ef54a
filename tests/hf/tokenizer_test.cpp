#include "hf/tokenizer_folder.hpp"

#include <string>

#include "support/gguf_bytes.hpp"

namespace snug::hf {
namespace {

using nlohmann::json;
using test::byte_level;
using test::characters;
using test::TokenizerFolder;

std::vector<std::string> texts(const Metadata& keys, const char* key) {
  const auto views = keys.strings(key);
  return {views.begin(), views.end()};
}

TEST_F(TokenizerFolder, BytesBecomeGpt2WithARowForEveryTokenOfTheEmbedding) {
  put("tokenizer.json", byte_level());
  const Metadata found = keys("qwen2moe", 9);
  EXPECT_EQ(found.text("tokenizer.ggml.model"), "gpt2");
  EXPECT_EQ(found.text("tokenizer.ggml.pre"), "gpt-2");
  EXPECT_EQ(texts(found, "tokenizer.ggml.tokens"),
            (std::vector<std::string>{"a", "b", "Ġ", "ab", "<|end|>", "  ", "<bos>", "[PAD7]", "[PAD8]"}));
  EXPECT_EQ(found.integers("tokenizer.ggml.token_type"), (std::vector<int64_t>{1, 1, 1, 1, 3, 4, 3, 5, 5}));
  EXPECT_EQ(texts(found, "tokenizer.ggml.merges"), (std::vector<std::string>{"a b", "Ġ a"}));
  EXPECT_FALSE(found.find("tokenizer.ggml.scores"));
}

TEST_F(TokenizerFolder, CharactersBecomeSentencePieceScoredByTheirMerges) {
  put("tokenizer.json", characters());
  const Metadata found = keys("llama", 0);
  EXPECT_EQ(found.text("tokenizer.ggml.model"), "llama");
  EXPECT_EQ(found.integers("tokenizer.ggml.token_type"), (std::vector<int64_t>{3, 6, 1, 1, 1, 1, 1, 1}));
  const std::vector<double> scores = found.reals("tokenizer.ggml.scores");
  EXPECT_GT(scores[5], scores[6]);
  EXPECT_LT(scores[7], -1e8);
  EXPECT_FALSE(found.find("tokenizer.ggml.add_space_prefix"));  // a reader takes it for granted
  EXPECT_EQ(keys("gemma3", 0).boolean("tokenizer.ggml.add_space_prefix"), false);
}

TEST_F(TokenizerFolder, SpecialTokensComeFromTheFirstSourceThatNamesThem) {
  json tokenizer = byte_level();
  tokenizer["post_processor"] = {
      {"type", "TemplateProcessing"},
      {"single", {{{"SpecialToken", {{"id", "<bos>"}}}}, {{"Sequence", {{"id", "A"}}}}}},
      {"pair", json::array()}};
  put("tokenizer.json", tokenizer);
  put("tokenizer_config.json",
      json{{"bos_token", {{"content", "<bos>"}}}, {"eos_token", "<|end|>"}, {"add_eos_token", false}});
  const Metadata found = keys(
      "llama", 9, {{"bos_token_id", 1}, {"eos_token_id", {2, 3}}, {"pad_token_id", 7}, {"unk_token_id", 70}});
  EXPECT_EQ(found.integer("tokenizer.ggml.bos_token_id"), 6);
  EXPECT_EQ(found.integer("tokenizer.ggml.eos_token_id"), 4);
  EXPECT_EQ(found.integer("tokenizer.ggml.padding_token_id"), 7);
  EXPECT_FALSE(found.find("tokenizer.ggml.unknown_token_id"));  // no such token
  EXPECT_EQ(found.boolean("tokenizer.ggml.add_bos_token"), true);
  EXPECT_EQ(found.boolean("tokenizer.ggml.add_eos_token"), false);
}

TEST_F(TokenizerFolder, AnEndIsAlwaysNamed) {
  put("tokenizer.json", byte_level());
  EXPECT_EQ(keys("llama", 9, {{"eos_token_id", {3, 4}}}).integer("tokenizer.ggml.eos_token_id"), 3);
}

TEST_F(TokenizerFolder, ATokenBehindTheEmbeddingIsLeftOutAndSaidSo) {
  put("tokenizer.json", byte_level());
  EXPECT_EQ(keys("llama", 6).strings("tokenizer.ggml.tokens").size(), 6u);
  EXPECT_TRUE(remarks("1 tokens have no row"));
  EXPECT_NE(problem("llama", 3).find("ids up to 3"),
            std::string::npos);  // of the vocabulary itself: an error
}

TEST_F(TokenizerFolder, WithoutAnyTokenizerTheModelTakesIds) {
  EXPECT_EQ(keys("llama", 9).text("tokenizer.ggml.model"), "none");
  EXPECT_EQ(remarks_.size(), 1u);
  put("vocab.json", std::string{"{}"});
  EXPECT_NE(problem("llama", 9).find("vocab.json"), std::string::npos);
}

TEST_F(TokenizerFolder, WhatGgufCannotSayIsRefused) {
  const auto refused = [&](const char* pointer, const json& value, const char* words) {
    json tokenizer = byte_level();
    tokenizer[json::json_pointer{pointer}] = value;
    put("tokenizer.json", tokenizer);
    EXPECT_NE(problem("llama", 9).find(words), std::string::npos) << pointer << ": " << problem("llama", 9);
  };
  refused("/model/type", "Unigram", "Unigram");
  refused("/model", {{"type", "Unigram"}, {"vocab", json::array({json::array({"a", -1.5})})}}, "Unigram");
  refused("/model/vocab/a", json::array({1}), "no number");
  refused("/model/end_of_word_suffix", "</w>", "end_of_word_suffix");
  refused("/normalizer", {{"type", "Lowercase"}}, "Lowercase");
  refused("/pre_tokenizer", {{"type", "Whitespace"}}, "neither of bytes");
  refused("/added_tokens/0/content", "a", "are the same");
  refused("/model/vocab/a", -1, "no token id");
  refused("/model/merges/0", {"a", "b", "c"}, "merge 0 is no pair");
  put("tokenizer.json", byte_level(R"(\p{L}+|\w+)"));
  EXPECT_NE(problem("llama", 9).find(R"(\p{L}+|\w+)"), std::string::npos);
}

const std::string kThreeDigits =
    R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

TEST_F(TokenizerFolder, ThePatternNamesThePreTokenizer) {
  const auto name = [&](json tokenizer, bool ignore_merges = false) {
    tokenizer["model"]["ignore_merges"] = ignore_merges;
    put("tokenizer.json", tokenizer);
    return std::string{keys("llama", 9).text("tokenizer.ggml.pre").value_or("")};
  };
  EXPECT_EQ(name(byte_level("(?i:'s|'t|'re|'ve|'m|'ll|'d)" + kThreeDigits), true), "llama-bpe");
  EXPECT_EQ(name(byte_level("(?i:'s|'t|'re|'ve|'m|'ll|'d)" + kThreeDigits)), "dbrx");
  EXPECT_EQ(name(byte_level("(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])" + kThreeDigits)), "dbrx");
  EXPECT_EQ(
      name(byte_level(
          "'(?i:[sdmt]|ll|ve|re)|[^\r\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{N}\\p{L}]++[\r\n]*|"
          "\\s*[\r\n]+|\\s+(?!\\S)|\\s+")),
      "dbrx");
  json glm = byte_level("(?i:'s|'t|'re|'ve|'m|'ll|'d)" + kThreeDigits);
  glm["added_tokens"].push_back({{"id", 7}, {"content", "[gMASK]"}, {"special", true}});
  EXPECT_EQ(name(glm), "glm4");
  json digits = byte_level();
  digits["pre_tokenizer"]["pretokenizers"].insert(digits["pre_tokenizer"]["pretokenizers"].begin(),
                                                  json{{"type", "Digits"}, {"individual_digits", true}});
  EXPECT_EQ(name(digits), "smollm");
  digits["pre_tokenizer"]["pretokenizers"][0]["individual_digits"] = false;
  put("tokenizer.json", digits);
  EXPECT_NE(problem("llama", 9), "none");
}

TEST_F(TokenizerFolder, MistralsPatternIsTakenWhereTheFileHasLlamas) {
  json tokenizer = byte_level("(?i:'s|'t|'re|'ve|'m|'ll|'d)" + kThreeDigits);
  tokenizer["model"]["ignore_merges"] = true;
  put("tokenizer.json", tokenizer);
  EXPECT_EQ(keys("mistral3", 131072).text("tokenizer.ggml.pre"), "tekken");
  ASSERT_FALSE(remarks_.empty());
  EXPECT_EQ(keys("mistral3", 9).text("tokenizer.ggml.pre"), "llama-bpe");
}

/// transformers 5 writes a list where 4 wrote an object.
TEST_F(TokenizerFolder, ExtraSpecialTokensMayBeAListOrAnObject) {
  put("tokenizer.json", byte_level());
  const json list = json::array({"<bos>"}), object = json::object({{"image_token", "<bos>"}});
  for (const json& extra : {list, object}) {
    put("tokenizer_config.json", json{{"eos_token", "<|end|>"}, {"extra_special_tokens", extra}});
    EXPECT_EQ(keys("llama", 9).integer("tokenizer.ggml.eos_token_id"), 4) << extra;
  }
}

TEST_F(TokenizerFolder, TheTemplateComesFromTheConfigurationThenFromFiles) {
  put("tokenizer.json", byte_level());
  put("chat_template.json", json{{"chat_template", "of the old file"}});
  EXPECT_EQ(keys("llama", 9).text("tokenizer.chat_template"), "of the old file");
  put("chat_template.jinja", std::string{"of the file"});
  EXPECT_EQ(keys("llama", 9).text("tokenizer.chat_template"), "of the file");
  put("tokenizer_config.json",
      json{{"chat_template",
            {{{"name", "default"}, {"template", "D"}}, {{"name", "tool_use"}, {"template", "T"}}}}});
  const Metadata found = keys("llama", 9);
  EXPECT_EQ(found.text("tokenizer.chat_template"), "D");
  EXPECT_EQ(found.text("tokenizer.chat_template.tool_use"), "T");
  EXPECT_EQ(texts(found, "tokenizer.chat_templates"), std::vector<std::string>{"tool_use"});
  EXPECT_TRUE(remarks("template"));  // two that differ
}

TEST_F(TokenizerFolder, RankedTokensBecomeMerges) {
  const auto token = [](const char* base64) { return json{{"token_bytes", base64}}; };
  put("tekken.json",
      json{{"config", {{"pattern", "."}, {"default_vocab_size", 8}, {"default_num_special_tokens", 3}}},
           {"vocab",
            {token("YQ=="), token("Yg=="), token("IA=="), token("YWI="), token("IGFi"), token("AA==")}}});
  EXPECT_NE(problem("llama", 8).find("pre-tokenizer is not known"), std::string::npos);
  put("tiktoken.model", std::string{"YQ== 0\nYg== 1\nIA== 2\nYWI= 3\nIGFi 4\n"});
  std::filesystem::remove(folder_ / "tekken.json");
  put("tokenizer_config.json",
      json{{"added_tokens_decoder", {{"5", {{"content", "<|im_end|>"}, {"special", true}}}}}});
  const Metadata found = keys("deepseek2", 7);
  EXPECT_EQ(found.text("tokenizer.ggml.pre"), "kimi-k2");
  EXPECT_EQ(texts(found, "tokenizer.ggml.tokens"),
            (std::vector<std::string>{"a", "b", "Ġ", "ab", "Ġab", "<|im_end|>", "[PAD6]"}));
  EXPECT_EQ(texts(found, "tokenizer.ggml.merges"), (std::vector<std::string>{"a b", "Ġ ab"}));
  put("tiktoken.model", std::string{"YQ== 0\nYg== 2\n"});
  EXPECT_NE(problem("deepseek2", 7).find("rank 2 where 1"), std::string::npos);
  put("tiktoken.model", std::string{"YQ== 0\nYg=="});  // cut off
  EXPECT_NE(problem("deepseek2", 7).find("a line is not a token and its rank"), std::string::npos);
}

/// A protobuf field of bytes.
std::string field(int number, const std::string& bytes) {
  return std::string{static_cast<char>(number << 3 | 2), static_cast<char>(bytes.size())} + bytes;
}
std::string number(int field, int value) {
  return {static_cast<char>(field << 3), static_cast<char>(value)};
}
std::string piece(const std::string& text, float score, int kind) {
  std::string bytes =
      field(1, text) + static_cast<char>(2 << 3 | 5) + test::GgufBytes::le(score) + number(3, kind);
  return field(1, bytes);
}

std::string pieces(int model_type = 2) {
  return piece("<unk>", 0, 2) + piece("<s>", 0, 3) + piece("<0x41>", 0, 6) + piece("a", -1, 1) +
         piece("▁a", -2, 1) + piece("▁▁", 0, 4) + field(2, number(3, model_type)) + field(3, number(3, 0));
}

TEST_F(TokenizerFolder, PiecesKeepTheirScoresAndKinds) {
  put("tokenizer.model", pieces());
  put("added_tokens.json", json{{"<x>", 6}, {"<far>", 99}, {"<none>", 18446744073709551615u}});
  put("tokenizer_config.json", json{{"added_tokens_decoder", {{"7", {{"content", "<|y|>"}}}}}});
  const Metadata found = keys("llama", 9);
  EXPECT_EQ(texts(found, "tokenizer.ggml.tokens"),
            (std::vector<std::string>{"<unk>", "<s>", "<0x41>", "a", "▁a", "  ", "<x>", "<|y|>", "[PAD8]"}));
  EXPECT_EQ(found.integers("tokenizer.ggml.token_type"), (std::vector<int64_t>{2, 3, 6, 1, 1, 4, 4, 3, 5}));
  EXPECT_EQ(found.reals("tokenizer.ggml.scores"),
            (std::vector<double>{0, 0, 0, -1, -2, -1000, -1000, -1000, -10000}));
  EXPECT_EQ(found.boolean("tokenizer.ggml.add_space_prefix"), false);  // as the model says
}

TEST_F(TokenizerFolder, DamagedPiecesAreRefused) {
  put("tokenizer.model", pieces(1));
  EXPECT_NE(problem("llama", 0).find("no byte-pair encoding"), std::string::npos);
  const std::string whole = pieces();
  for (const size_t cut : {size_t{5}, size_t{20}, whole.size() - 1}) {
    put("tokenizer.model", whole.substr(0, cut));
    EXPECT_NE(problem("llama", 0), "none") << cut;
  }
}

}  // namespace
}  // namespace snug::hf
