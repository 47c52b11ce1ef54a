#include "audit/audit.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "audit/card.hpp"
#include "hf/tiny_checkpoint.hpp"
#include "support/scratch.hpp"

namespace snug {
namespace {

using test::Dtype;
using test::TinyCheckpoint;

bool any_holds(const std::vector<std::string>& sentences, const std::string& part) {
  return std::ranges::any_of(sentences, [&](const std::string& s) { return s.find(part) != s.npos; });
}

std::string text_of(const std::vector<std::string>& sentences) {
  std::string text;
  for (const std::string& sentence : sentences) text += sentence + "\n";
  return text;
}

// --- cards ----------------------------------------------------------------------------------------------------------

constexpr CardFacts kFacts{4.587, 4.087, 4, 8};

TEST(Card, SentencesThatTheTensorsBearOutAreLeftAlone) {
  EXPECT_EQ(text_of(contradictions_of_card("4.59 bpw (4.09 bits per weight raw). Router layers are 8-bit.\n"
                                           "The embeddings are quantized to 4 bits.",
                                           kFacts)),
            "");
}

TEST(Card, EmbeddingsSaidToBeUnquantizedAreNot) {
  const auto found = contradictions_of_card("## Recipe\nToken embeddings are kept in full precision; the rest is small.", kFacts);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_NE(found[0].find("Token embeddings are kept"), std::string::npos);
  EXPECT_NE(found[0].find("4 bits"), std::string::npos);
}

TEST(Card, RoutersSaidToHaveEightBits) {
  CardFacts facts = kFacts;
  EXPECT_TRUE(contradictions_of_card("The router is kept at 8-bit.", facts).empty());
  facts.router_bits = 4;
  EXPECT_EQ(contradictions_of_card("The router is kept at 8-bit.", facts).size(), 1u);
  facts.router_bits = 0;  // a dense model
  EXPECT_TRUE(contradictions_of_card("The router is kept at 8-bit.", facts).empty());
}

TEST(Card, OtherBitsPerWeightThanEitherCount) {
  EXPECT_EQ(contradictions_of_card("It has 3.8 bpw.", kFacts).size(), 1u);
  EXPECT_EQ(contradictions_of_card("It has 5 bits per weight on average", kFacts).size(), 1u);
  EXPECT_TRUE(contradictions_of_card("How many bpw? v1.2 bpwx", {1.2, 1.2, 0, 0}).empty());
}

// --- folders --------------------------------------------------------------------------------------------------------

/// The value projection quantized in 4 bits, groups of 64; everything else bf16.
TinyCheckpoint quantized(const std::string& block, const std::string& more = "") {
  TinyCheckpoint model{R"({"architectures":["LlamaForCausalLM"],"model_type":"llama","vocab_size":10,"hidden_size":64,
    "intermediate_size":64,"num_hidden_layers":1,"num_attention_heads":2,"num_key_value_heads":1,"quantization":)" +
                       block + more + "}"};
  model.metadata({{"format", "mlx"}});
  const std::string layer = "model.layers.0.";
  model.add("model.embed_tokens.weight", {10, 64}).add("model.norm.weight", {64});
  model.add(layer + "self_attn.v_proj.scales", {32, 1}).add(layer + "self_attn.v_proj.biases", {32, 1});
  model.add_bytes(layer + "self_attn.v_proj.weight", {32, 8}, Dtype::u32, std::string(32 * 32, '\x21'));
  return model.add(layer + "mlp.up_proj.weight", {64, 64});
}

Audit audit_of(const TinyCheckpoint& model, const std::string& card = "") {
  const test::Scratch folder;
  model.save(folder.path());
  if (!card.empty()) std::ofstream{folder / "README.md"} << card;
  return audit_model(folder.path());
}

constexpr const char* kFour = R"({"group_size":64,"bits":4})";

TEST(AuditFolder, CountsCodesWithTheirScales) {
  const Audit audit = audit_of(quantized(kFour));
  const auto found = std::ranges::find(audit.tensors, "model.layers.0.self_attn.v_proj", &AuditedTensor::name);
  ASSERT_NE(found, audit.tensors.end());
  EXPECT_EQ(found->format, "affine 4/64");
  EXPECT_EQ(found->part, "attention");
  EXPECT_EQ(found->bytes, 32 * 36);
  EXPECT_EQ(audit.of_part("attention").bits_per_weight(), 4.5);
  EXPECT_EQ(audit.of_part("attention").raw_bits_per_weight(), 4);
  EXPECT_EQ(audit.total().bytes, 32 * 36 + 2 * (10 * 64 + 64 + 64 * 64));
  EXPECT_EQ(audit.parts(), (std::vector<std::string>{"embedding", "attention", "ffn", "other"}));
  EXPECT_EQ(text_of(audit.contradictions), "");
}

TEST(AuditFolder, FindsWhatConfigSaysWrongly) {
  const auto found_in = [](const std::string& block, const std::string& more = "") {
    return text_of(audit_of(quantized(block, more)).contradictions);
  };
  EXPECT_NE(found_in(R"({"group_size":64,"bits":4,"model.layers.0.mlp.up_proj":{"group_size":64,"bits":8}})").find("no scales"),
            std::string::npos);
  EXPECT_NE(found_in(R"({"group_size":64,"bits":4,"model.layers.0.self_attn.v_proj":false})").find("it has scales"),
            std::string::npos);
  EXPECT_NE(found_in(R"({"group_size":64,"bits":4,"model.layers.0.self_attn.v_proj":{"group_size":null,"bits":4}})")
                .find("null at \"model.layers.0.self_attn.v_proj/group_size\""),
            std::string::npos);
  EXPECT_NE(found_in(kFour, R"(,"quantization_config":{"group_size":64,"bits":8})").find("differ"), std::string::npos);
  EXPECT_EQ(found_in(kFour, R"(,"quantization_config":{"group_size":64,"bits":4})"), "");
}

TEST(AuditFolder, AHeadBesideATiedOneIsNamed) {
  auto model = quantized(kFour, ",\"tie_word_embeddings\":true");
  EXPECT_EQ(text_of(audit_of(model).contradictions), "");
  model.add("lm_head.weight", {10, 64});
  EXPECT_NE(text_of(audit_of(model).contradictions).find("lm_head.weight"), std::string::npos);
}

TEST(AuditFolder, ReadsTheCardBesideIt) {
  const Audit audit = audit_of(quantized(kFour), "Everything has 4.0 bpw.");
  EXPECT_TRUE(any_holds(audit.contradictions, "the card says 4 bits per weight"));
}

TEST(AuditFolder, RoutersOfFewBitsAreRemarked) {
  auto model = quantized(kFour);
  model.add_bytes("model.layers.0.mlp.gate.weight", {4, 8}, Dtype::u32, std::string(4 * 32, '\x21'));
  model.add("model.layers.0.mlp.gate.scales", {4, 1}).add("model.layers.0.mlp.gate.biases", {4, 1});
  EXPECT_TRUE(any_holds(audit_of(model).remarks, "routers have 4 bits"));
  EXPECT_FALSE(any_holds(audit_of(quantized(kFour)).remarks, "routers"));
}

TEST(AuditFile, GgufTensorsHaveTheirPartsAndBits) {
  const Audit audit = audit_model(std::string{SNUG_SOURCE_DIR} + "/models/tiny-f16.gguf");
  EXPECT_GT(audit.of_part("attention").weights, 0);
  EXPECT_EQ(audit.of_part("attention").raw_bits_per_weight(), 16);
  EXPECT_GT(audit.total().bits_per_weight(), 16) << "norms are f32";
  EXPECT_EQ(text_of(audit.contradictions), "");
}

}  // namespace
}  // namespace snug
