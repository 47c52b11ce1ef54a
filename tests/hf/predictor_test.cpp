// Layers that predict further tokens (MTP, "nextn"): configurations speak of ones that are not there, and do not of ones
// that are. The weights count.
#include <gtest/gtest.h>

#include "hf/tiny_checkpoint.hpp"

namespace snug::hf {
namespace {

using test::any_remark;
using test::TinyCheckpoint;
using test::values;
using test::weight;

void add_layer(TinyCheckpoint& model, const std::string& layer) {
  model.add(layer + "input_layernorm.weight", {8}).add(layer + "post_attention_layernorm.weight", {8});
  model.add(layer + "self_attn.q_proj.weight", {16, 8}).add(layer + "self_attn.o_proj.weight", {8, 8});
  model.add(layer + "self_attn.k_proj.weight", {4, 8}).add(layer + "self_attn.v_proj.weight", {4, 8});
  model.add(layer + "self_attn.q_norm.weight", {4}).add(layer + "self_attn.k_norm.weight", {4});
  model.add(layer + "mlp.gate_proj.weight", {12, 8}).add(layer + "mlp.up_proj.weight", {12, 8});
  model.add(layer + "mlp.down_proj.weight", {8, 12});
}

/// One layer of full attention; `said` of config.json.
TinyCheckpoint tiny_qwen35(const std::string& said) {
  TinyCheckpoint model{R"({"architectures":["Qwen3_5ForCausalLM"],"model_type":"qwen3_5_text","vocab_size":10,
    "hidden_size":8,"intermediate_size":12,"num_hidden_layers":1,"num_attention_heads":2,"num_key_value_heads":1,
    "head_dim":4,"full_attention_interval":1,"layer_types":["full_attention"],"linear_key_head_dim":4,
    "linear_value_head_dim":4,"linear_num_key_heads":1,"linear_num_value_heads":1)" +
                       said + "}"};
  model.add("model.embed_tokens.weight", {10, 8}).add("model.norm.weight", {8}).add("lm_head.weight", {10, 8});
  add_layer(model, "model.layers.0.");
  return model;
}

TinyCheckpoint with_predictor(TinyCheckpoint model) {
  add_layer(model, "mtp.layers.0.");
  model.add("mtp.fc.weight", {8, 16}).add("mtp.norm.weight", {8});
  model.add("mtp.pre_fc_norm_embedding.weight", {8}).add("mtp.pre_fc_norm_hidden.weight", {8});
  return model;
}

TEST(Trap, PredictorsThatConfigSpeaksOfAndNoWeightsAreThereOf) {
  const ModelSource model = tiny_qwen35(R"(,"mtp_num_hidden_layers":1)").open();
  EXPECT_EQ(model.metadata().integer("qwen35.block_count"), 1);
  EXPECT_EQ(model.metadata().integer("qwen35.nextn_predict_layers").value_or(0), 0);
  EXPECT_TRUE(any_remark(model, "speaks of 1 layers"));
}

TEST(Trap, PredictorsWithWeightsThatConfigDoesNotSpeakOf) {
  const ModelSource model = with_predictor(tiny_qwen35("")).open();
  EXPECT_EQ(model.metadata().integer("qwen35.block_count"), 2);
  EXPECT_EQ(model.metadata().integer("qwen35.nextn_predict_layers"), 1);
  EXPECT_EQ(values(model, "blk.1.nextn.hnorm.weight")[2], weight(2) + 1);
  EXPECT_EQ(values(model, "blk.1.attn_q.weight")[9], weight(9));
  EXPECT_TRUE(any_remark(model, "the weights are there of 1"));
}

TEST(Trap, AnIncompletePredictorIsRefused) {
  auto model = with_predictor(tiny_qwen35(""));
  EXPECT_EQ(model.refusal(), "");
  model.remove("mtp.layers.0.self_attn.q_proj.weight");
  EXPECT_NE(model.refusal().find("blk.1.attn_q.weight"), std::string::npos) << model.refusal();
}

}  // namespace
}  // namespace snug::hf
