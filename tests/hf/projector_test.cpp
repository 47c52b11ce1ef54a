#include "hf/projector.hpp"

#include <gtest/gtest.h>

#include <fstream>

#include "base/str.hpp"
#include "hf/tiny_tower.hpp"

namespace snug::test {
namespace {

constexpr const char* kTextConfig = R"("text_config":{"model_type":"gemma3_text","hidden_size":8})";
constexpr const char* kProcessor = kTinyProcessor;

TinyCheckpoint tiny_gemma3() {
  TinyCheckpoint model{str(R"({"architectures":["Gemma3ForConditionalGeneration"],"model_type":"gemma3",)", kTextConfig, ",",
                           kTinyVision, "}")};
  add_tiny_tower(model, 8);
  return model.add("vision_tower.vision_model.head.probe", {1, 1, 4}).add("language_model.model.norm.weight", {8});
}

ModelSource open(const TinyCheckpoint& model, const char* processor = kProcessor) {
  const Scratch scratch;
  model.save(scratch.path());
  if (processor) std::ofstream{scratch.path() / "preprocessor_config.json"} << processor;
  return hf::open_projector(scratch.path());
}

std::string refusal(const TinyCheckpoint& model, const char* processor = kProcessor) {
  try {
    open(model, processor);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(Projector, HasTheTowersTensorsAndKeysAndNoOthers) {
  const ModelSource model = open(tiny_gemma3());
  EXPECT_EQ(model.tensors().size(), 13u);
  EXPECT_EQ(model.metadata().text("general.architecture"), "clip");
  EXPECT_EQ(model.metadata().text("general.type"), "mmproj");
  EXPECT_EQ(model.metadata().text("clip.projector_type"), "gemma3");
  EXPECT_EQ(model.metadata().integer("clip.vision.projection_dim"), 8);
  EXPECT_EQ(model.metadata().integer("clip.vision.block_count"), 1);
  EXPECT_EQ(model.metadata().reals("clip.vision.image_mean"), (std::vector<double>{0.5, 0.25, 0.75}));
  EXPECT_EQ(values(model, "v.blk.0.attn_q.weight")[1], weight(1));
}

TEST(Projector, WhatLoadersWantIsWhatTheyGet) {
  const ModelSource model = open(tiny_gemma3());
  EXPECT_EQ(model.find("v.patch_embd.weight")->format, FormatId::f32);
  EXPECT_EQ(model.find("v.patch_embd.weight")->shape, (std::array<int64_t, 4>{2, 2, 3, 4}));
  EXPECT_EQ(model.find("v.position_embd.weight")->format, FormatId::f32);
  EXPECT_EQ(model.find("mm.input_projection.weight")->format, FormatId::f16);
  EXPECT_EQ(values(model, "mm.input_projection.weight")[9], weight(9));
  EXPECT_EQ(values(model, "mm.soft_emb_norm.weight")[3], weight(3) + 1);
}

TEST(Projector, NamesWithoutALevelAreTheSame) {
  const ModelSource model = open(tiny_gemma3().rename("vision_tower.vision_model.", "vision_tower."));
  EXPECT_EQ(model.shape_digest(), open(tiny_gemma3()).shape_digest());
}

TEST(Projector, SaysWhatIsMissing) {
  EXPECT_NE(refusal(tiny_gemma3(), nullptr).find("preprocessor_config.json"), std::string::npos);
  EXPECT_NE(refusal(tiny_gemma3().remove("multi_modal_projector.mm_soft_emb_norm.weight")).find("mm.soft_emb_norm"),
            std::string::npos);
  EXPECT_NE(refusal(tiny_gemma3().add("vision_tower.odd.weight", {4})).find("vision_tower.odd.weight"),
            std::string::npos);
  EXPECT_NE(refusal(tiny_llama()).find("vision_config"), std::string::npos);
}

TEST(Projector, WhatHearsIsLeftOutAndSaidSo) {
  EXPECT_FALSE(any_remark(open(tiny_gemma3()), "hears"));
  auto model = tiny_gemma3();
  model.config(str(R"({"architectures":["Gemma3ForConditionalGeneration"],"model_type":"gemma3","audio_config":{},)",
                   kTextConfig, R"(,"vision_config":{"model_type":"siglip_vision_model","hidden_size":4,
    "intermediate_size":6,"num_hidden_layers":1,"num_attention_heads":2,"image_size":4,"patch_size":2}})"));
  EXPECT_TRUE(any_remark(open(model), "hears"));
}

TEST(Projector, ATowerOfAnotherKindIsNamed) {
  const std::string problem = refusal(
      tiny_llama(R"(,"vision_config":{"model_type":"clip_vision_model"})"));
  EXPECT_NE(problem.find("clip_vision_model"), std::string::npos);
  EXPECT_NE(problem.find("LlamaForCausalLM"), std::string::npos);
}

/// The frames of a patch lie one after another in every colour.
TEST(Projector, FramesOfAPatchBecomeTwoTensors) {
  TinyCheckpoint model{R"({"architectures":["Qwen3_5ForConditionalGeneration"],"model_type":"qwen3_5",
    "text_config":{"model_type":"qwen3_5_text","hidden_size":8},"vision_config":{"model_type":"qwen3_5","depth":1,
    "hidden_size":2,"intermediate_size":4,"num_heads":1,"patch_size":2,"num_position_embeddings":4}})"};
  model.add("model.visual.patch_embed.proj.weight", {2, 3, 2, 2, 2}).add("model.visual.patch_embed.proj.bias", {2});
  model.add("model.visual.pos_embed.weight", {4, 2}).add("model.visual.merger.norm.weight", {2});
  model.add("model.visual.merger.linear_fc1.weight", {8, 8}).add("model.visual.merger.linear_fc2.weight", {8, 8});
  const std::string block = "model.visual.blocks.0.";
  model.add(block + "norm1.weight", {2}).add(block + "norm2.weight", {2});
  model.add(block + "attn.qkv.weight", {6, 2}).add(block + "attn.proj.weight", {2, 2});
  model.add(block + "mlp.linear_fc1.weight", {4, 2}).add(block + "mlp.linear_fc2.weight", {2, 4});
  const ModelSource found = open(model);
  const std::vector<float> first = values(found, "v.patch_embd.weight"), second = values(found, "v.patch_embd.weight.1");
  for (size_t image = 0; image < 6; ++image)
    for (size_t pixel = 0; pixel < 4; ++pixel) {
      EXPECT_EQ(first[image * 4 + pixel], weight(image * 8 + pixel));
      EXPECT_EQ(second[image * 4 + pixel], weight(image * 8 + 4 + pixel));
    }
  EXPECT_EQ(found.metadata().integer("clip.vision.image_size"), 4);
}

}  // namespace
}  // namespace snug::test
