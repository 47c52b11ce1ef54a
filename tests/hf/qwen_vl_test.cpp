// Text models and towers of Qwen 2 VL, 2.5 VL and 3 VL.
#include <gtest/gtest.h>

#include <fstream>

#include "base/str.hpp"
#include "hf/projector.hpp"
#include "hf/tiny_checkpoint.hpp"

namespace snug::test {
namespace {

constexpr const char* kRope = R"("rope_scaling":{"type":"mrope","mrope_section":[1,1,0]})";

std::string config(const std::string& class_name, const std::string& type, const std::string& text,
                   const std::string& vision) {
  return str(R"({"architectures":[")", class_name, R"("],"model_type":")", type, R"(","vocab_size":10,"hidden_size":8,
    "intermediate_size":12,"num_hidden_layers":2,"num_attention_heads":2,"num_key_value_heads":1,)", text,
             R"(,"vision_config":{)", vision, "}}");
}

constexpr const char* kTower = R"("depth":1,"embed_dim":4,"hidden_size":8,"num_heads":2,"patch_size":2)";

/// As published: the text model's values lie flat beside vision_config.
TinyCheckpoint tiny_qwen2_vl(const std::string& text = kRope) {
  TinyCheckpoint model = tiny_llama();
  model.config(config("Qwen2VLForConditionalGeneration", "qwen2_vl", text, kTower));
  const std::string block = "visual.blocks.0.";
  model.add("visual.patch_embed.proj.weight", {4, 3, 2, 2, 2}).add("visual.merger.ln_q.weight", {4});
  for (const char* norm : {"norm1.weight", "norm2.weight"}) model.add(block + norm, {4});
  model.add(block + "attn.qkv.weight", {12, 4}).add(block + "attn.qkv.bias", {12}).add(block + "attn.proj.weight", {4, 4});
  model.add(block + "mlp.fc1.weight", {8, 4}).add(block + "mlp.fc2.weight", {4, 8});
  return model.add("visual.merger.mlp.0.weight", {8, 16}).add("visual.merger.mlp.2.weight", {8, 8});
}

std::vector<float> counted(size_t from, size_t count) {
  std::vector<float> numbers;
  for (size_t i = from; i < from + count; ++i) numbers.push_back(weight(i));
  return numbers;
}

TEST(QwenVl, TheTextModelIsQwenWithSections) {
  const ModelSource model = tiny_qwen2_vl().open();
  EXPECT_EQ(model.metadata().text("general.architecture"), "qwen2vl");
  EXPECT_EQ(model.metadata().integers("qwen2vl.rope.dimension_sections"), (std::vector<int64_t>{1, 1, 0, 0}));
  EXPECT_EQ(values(model, "blk.0.attn_q.weight"), counted(0, 64)) << "rows stay where they are";
  EXPECT_TRUE(any_remark(model, "of other parts"));
  EXPECT_NE(tiny_qwen2_vl(R"("rope_theta":1e6)").refusal().find("mrope_section"), std::string::npos);
}

TEST(QwenVl, TheTowerIsInThreeMatricesAndTwoFrames) {
  const Scratch scratch;
  tiny_qwen2_vl().save(scratch.path());
  std::ofstream{scratch.path() / "preprocessor_config.json"} << R"({"image_mean":[0,0,0],"image_std":[1,1,1]})";
  const ModelSource model = hf::open_projector(scratch.path());
  EXPECT_EQ(model.metadata().text("clip.projector_type"), "qwen2vl_merger");
  EXPECT_EQ(model.metadata().integer("clip.vision.embedding_length"), 4);
  EXPECT_EQ(model.metadata().integer("clip.vision.feed_forward_length"), 8);
  EXPECT_EQ(values(model, "v.blk.0.attn_k.weight"), counted(16, 16));
  EXPECT_EQ(values(model, "v.blk.0.attn_v.bias"), counted(8, 4));
  EXPECT_EQ(values(model, "v.patch_embd.weight.1")[0], weight(4));  // behind the four pixels of the first frame
}

/// Experts of a width other than their inputs', input by input as published or output by output.
TinyCheckpoint tiny_qwen3_vl_moe(bool turned) {
  TinyCheckpoint model = tiny_llama();
  model.config(config("Qwen3VLMoeForConditionalGeneration", "qwen3_vl_moe",
                      R"("num_experts":2,"num_experts_per_tok":1,"moe_intermediate_size":3,"head_dim":4)",
                      R"("deepstack_visual_indexes":[0,1,2])"));
  for (const std::string layer : {"model.layers.0.", "model.layers.1."}) {
    for (const char* part : {"gate", "up", "down"}) model.remove(layer + "mlp." + part + "_proj.weight");
    model.add(layer + "self_attn.q_norm.weight", {4}).add(layer + "self_attn.k_norm.weight", {4});
    model.add(layer + "mlp.gate.weight", {2, 8});
    model.add(layer + "mlp.experts.gate_up_proj", turned ? std::vector<int64_t>{2, 8, 6} : std::vector<int64_t>{2, 6, 8});
    model.add(layer + "mlp.experts.down_proj", turned ? std::vector<int64_t>{2, 3, 8} : std::vector<int64_t>{2, 8, 3});
  }
  return model;
}

TEST(QwenVl, ExpertsOfTheThirdAreReadEitherWay) {
  const ModelSource turned = tiny_qwen3_vl_moe(true).open(), plain = tiny_qwen3_vl_moe(false).open();
  for (const ModelSource* model : {&turned, &plain}) {
    EXPECT_EQ(model->find("blk.0.ffn_gate_exps.weight")->cols(), 8);
    EXPECT_EQ(model->find("blk.0.ffn_down_exps.weight")->cols(), 3);
    EXPECT_EQ(model->metadata().integer("qwen3vlmoe.n_deepstack_layers"), 3);
    EXPECT_EQ(model->metadata().integers("qwen3vlmoe.rope.dimension_sections"), (std::vector<int64_t>{24, 20, 20, 0}));
  }
  EXPECT_EQ(values(turned, "blk.0.ffn_up_exps.weight")[1], weight(6 + 3));  // its first row: column 3 of 6
  EXPECT_EQ(values(plain, "blk.0.ffn_up_exps.weight")[1], weight(24 + 1));  // behind three rows of 8
}

}  // namespace
}  // namespace snug::test
