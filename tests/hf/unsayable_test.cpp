// What config.json says and GGUF cannot: refused, or said.
#include "hf/unsayable.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "hf/tiny_checkpoint.hpp"

namespace snug::hf {
namespace {

using test::any_remark;
using test::tiny_llama;
using test::TinyCheckpoint;

/// The same weights under another class.
TinyCheckpoint tiny(const std::string& class_name, const std::string& type, const std::string& more = "") {
  TinyCheckpoint model = tiny_llama();
  model.config(R"({"architectures":[")" + class_name + R"("],"model_type":")" + type + R"(","vocab_size":10,"head_dim":4,
    "hidden_size":8,"intermediate_size":12,"num_hidden_layers":2,"num_attention_heads":2,"num_key_value_heads":1)" + more +
               "}");
  return model;
}

TinyCheckpoint tiny_gemma(const std::string& more, bool third = false) {
  const std::string scale = more.find("query_pre_attn_scalar") == more.npos ? R"(,"query_pre_attn_scalar":4)" : "";
  TinyCheckpoint model = third ? tiny("Gemma3ForCausalLM", "gemma3_text", scale + more)
                               : tiny("Gemma2ForCausalLM", "gemma2", scale + more);
  for (const std::string layer : {"model.layers.0.", "model.layers.1."}) {
    model.add(layer + "pre_feedforward_layernorm.weight", {8}).add(layer + "post_feedforward_layernorm.weight", {8});
    if (third) model.add(layer + "self_attn.q_norm.weight", {4}).add(layer + "self_attn.k_norm.weight", {4});
  }
  return model;
}

void expect_refusal(const TinyCheckpoint& model, const std::string& part) {
  const std::string message = model.refusal();
  EXPECT_NE(message.find(part), std::string::npos) << "'" << message << "', wanted '" << part << "'";
}

std::optional<float> real(const ModelSource& model, const char* key) {
  const auto value = model.metadata().real(key);
  return value ? std::optional{static_cast<float>(*value)} : std::nullopt;
}

TEST(Unsayable, AnotherActivationIsRefused) {
  expect_refusal(tiny_llama(R"(,"hidden_act":"gelu")"), "the activation is \"gelu\"");
  expect_refusal(tiny_gemma(R"(,"hidden_activation":"gelu")"), "the activation is \"gelu\"");
  EXPECT_EQ(tiny_llama(R"(,"hidden_act":"silu")").refusal(), "");
}

TEST(Unsayable, ScalingsThatLoadersDoNotKnowAreRefused) {
  const std::string llama3 = R"(,"rope_scaling":{"rope_type":"llama3","factor":8.0,"low_freq_factor":1.0,
      "high_freq_factor":4.0,"original_max_position_embeddings":8192})";
  EXPECT_EQ(tiny_llama(llama3).refusal(), "");
  expect_refusal(tiny("Qwen2ForCausalLM", "qwen2", llama3), "scaled by \"llama3\"");
  expect_refusal(tiny("Qwen2ForCausalLM", "qwen2", R"(,"rope_scaling":{"type":"longrope","long_factor":[1,2],
      "short_factor":[1,1]})"), "scaled by \"longrope\"");
  expect_refusal(tiny_llama(R"(,"rope_scaling":{"type":"yarn","factor":4,"beta_fast":16})"), "beta_fast is 16");
  expect_refusal(tiny_llama(R"(,"partial_rotary_factor":0.5)"), "partial_rotary_factor");
}

TEST(Unsayable, ScalingOfLongerTextsAloneIsRemarked) {
  EXPECT_TRUE(any_remark(tiny_llama(R"(,"rope_scaling":{"type":"dynamic","factor":2})").open(), "dynamic"));
}

TEST(Unsayable, AWindowIsRemarkedWhereItIsUsed) {
  EXPECT_TRUE(any_remark(tiny("MistralForCausalLM", "mistral").open(), "attention window"));
  EXPECT_FALSE(any_remark(tiny("Qwen2ForCausalLM", "qwen2", R"(,"sliding_window":9)").open(), "attention window"));
  EXPECT_TRUE(any_remark(
      tiny("Qwen2ForCausalLM", "qwen2", R"(,"sliding_window":9,"use_sliding_window":true)").open(), "attention window"));
}

TEST(Unsayable, AttentionThatLooksAheadIsRefused) {
  expect_refusal(tiny_gemma(R"(,"use_bidirectional_attention":true)", true), "use_bidirectional_attention");
}

// --- what GGUF has words for, and the converter does not use -------------------------------------------------------

TEST(Yarn, AStrengthThatIsSaidReachesLoaders) {
  const std::string yarn = R"(,"rope_scaling":{"type":"yarn","factor":4.0,"original_max_position_embeddings":64)";
  const float usual = 1 + 0.1f * std::log(4.0f);
  EXPECT_FALSE(real(tiny_llama(yarn + "}").open(), "llama.rope.scaling.attn_factor"));
  EXPECT_FLOAT_EQ(*real(tiny_llama(yarn + R"(,"attention_factor":1.3})").open(), "llama.rope.scaling.attn_factor"),
                  1.3f / usual);
  EXPECT_FLOAT_EQ(
      *real(tiny_llama(yarn + R"(,"mscale":1.0,"mscale_all_dim":1.0})").open(), "llama.rope.scaling.attn_factor"),
      1 / usual);
}

TEST(Yarn, WithoutAFactorGoesByTheLengths) {
  const ModelSource model = tiny_llama(R"(,"max_position_embeddings":512,"rope_scaling":{"type":"yarn",
      "original_max_position_embeddings":64})").open();
  EXPECT_EQ(real(model, "llama.rope.scaling.factor"), 8);
}

TEST(Longrope, OfALlamaHasBothListsOfFactors) {
  const ModelSource model = tiny_llama(R"(,"max_position_embeddings":512,"rope_scaling":{"type":"longrope",
      "original_max_position_embeddings":64,"long_factor":[2,8],"short_factor":[1,3]})").open();
  EXPECT_EQ(test::values(model, "rope_factors_long.weight"), (std::vector<float>{2, 8}));
  EXPECT_EQ(test::values(model, "rope_factors_short.weight"), (std::vector<float>{1, 3}));
  EXPECT_EQ(model.metadata().text("llama.rope.scaling.type"), "longrope");
  EXPECT_EQ(model.metadata().integer("llama.rope.scaling.original_context_length"), 64);
  EXPECT_FLOAT_EQ(*real(model, "llama.rope.scaling.attn_factor"),
                  std::sqrt(1 + std::log(8.0f) / std::log(64.0f)));
}

TEST(Gemma, WithoutCapsSaysSomeThatChangeNothing) {
  const ModelSource model = tiny_gemma(R"(,"attn_logit_softcapping":null,"final_logit_softcapping":null)").open();
  EXPECT_EQ(real(model, "gemma2.attn_logit_softcapping"), 0x1p20F);
  EXPECT_EQ(real(model, "gemma2.final_logit_softcapping"), 0x1p20F);
  EXPECT_EQ(real(tiny_gemma("").open(), "gemma2.attn_logit_softcapping"), 50);
  expect_refusal(tiny_gemma(R"(,"attn_logit_softcapping":0)"), "attn_logit_softcapping is 0");
}

std::vector<float> times(std::vector<float> values, float factor) {
  for (float& value : values) value *= factor;
  return values;
}

TEST(Gemma, QueriesHoldTheScaleThatLoadersDoNotKnow) {
  const std::string scaled = R"(,"query_pre_attn_scalar":64)";  // of heads of 4: a quarter
  const ModelSource usual = tiny_gemma("").open(), second = tiny_gemma(scaled).open(), third = tiny_gemma(scaled, true).open();
  EXPECT_EQ(test::values(second, "blk.1.attn_q.weight"), times(test::values(usual, "blk.1.attn_q.weight"), 0.25F));
  EXPECT_EQ(test::values(second, "blk.1.attn_k.weight"), test::values(usual, "blk.1.attn_k.weight"));
  EXPECT_EQ(test::values(third, "blk.1.attn_q.weight"), test::values(usual, "blk.1.attn_q.weight"));
  const std::vector<float> whole = test::values(tiny_gemma("", true).open(), "blk.1.attn_q_norm.weight");
  EXPECT_EQ(test::values(third, "blk.1.attn_q_norm.weight"), times(whole, 0.25F));
  expect_refusal(tiny_gemma(R"(,"query_pre_attn_scalar":0)"), "query_pre_attn_scalar is 0");
}

TEST(Gemma, AnotherPeriodOfWindowsIsSaid) {
  constexpr const char* kKey = "gemma3.attention.sliding_window_pattern";
  EXPECT_FALSE(tiny_gemma("", true).open().metadata().integer(kKey));
  EXPECT_EQ(tiny_gemma(R"(,"sliding_window_pattern":2)", true).open().metadata().integer(kKey), 2);
  EXPECT_EQ(tiny_gemma(R"(,"layer_types":["full_attention","full_attention"])", true).open().metadata().integer(kKey), 1);
  expect_refusal(tiny_gemma(R"(,"layer_types":["full_attention","sliding_attention"])", true), "without a period");
}

TEST(Gemma, AnotherBaseOfTheSecondIsSaid) {
  EXPECT_FALSE(real(tiny_gemma("").open(), "gemma2.rope.freq_base"));
  EXPECT_EQ(real(tiny_gemma(R"(,"rope_theta":5e5)").open(), "gemma2.rope.freq_base"), 5e5f);
}

// --- Gemma 4 --------------------------------------------------------------------------------------------------------

TinyCheckpoint tiny_gemma4(const std::string& more) {
  TinyCheckpoint model = tiny("Gemma4ForCausalLM", "gemma4_text", R"(,"global_head_dim":4,"hidden_size_per_layer_input":0)" + more);
  for (const std::string layer : {"model.layers.0.", "model.layers.1."})
    model.add(layer + "pre_feedforward_layernorm.weight", {8}).add(layer + "post_feedforward_layernorm.weight", {8});
  return model;
}

TEST(Gemma4, LogitsThatAreNotCappedAreSaidSo) {
  EXPECT_EQ(real(tiny_gemma4("").open(), "gemma4.final_logit_softcapping"), 0);
  EXPECT_EQ(real(tiny_gemma4(R"(,"final_logit_softcapping":30.0)").open(), "gemma4.final_logit_softcapping"), 30);
}

TEST(Gemma4, TheLastLayerHasFullAttention) {
  const ModelSource model =
      tiny_gemma4(R"(,"layer_types":["sliding_attention","sliding_attention"])").open();
  EXPECT_EQ(model.metadata().integers("gemma4.attention.sliding_window_pattern"), (std::vector<int64_t>{1, 0}));
}

TEST(Gemma4, LayersThatShareOtherwiseThanLoadersDoAreRefused) {
  expect_refusal(tiny_gemma4(R"(,"num_kv_shared_layers":1,"layer_types":["sliding_attention","full_attention"])"),
                 "layer 1 shares keys and values");
  EXPECT_EQ(tiny_gemma4(R"(,"num_kv_shared_layers":1,"layer_types":["full_attention","full_attention"])").refusal(), "");
}

TEST(Gemma4, ExceptionsOfSingleLayersAreRefused) {
  expect_refusal(tiny_gemma4(R"(,"per_layer_config":{"0":{"head_dim":2}})"), "exception of layer 0");
}

}  // namespace
}  // namespace snug::hf
