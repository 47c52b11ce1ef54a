#include "model/roles.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "gguf/reader.hpp"
#include "support/gguf_bytes.hpp"
#include "support/scratch.hpp"

namespace snug {
namespace {

Tensor tensor(std::string_view name, std::array<int64_t, 4> shape = {64, 64, 1, 1}) {
  Tensor t;
  t.name = name;
  t.dims = 4;
  t.shape = shape;
  return t;
}

TEST(Roles, OfManyArchitectures) {
  const std::pair<const char*, Role> wanted[] = {
      {"token_embd.weight", Role::token_embd},
      {"per_layer_token_embd.weight", Role::token_embd},
      {"output.weight", Role::output},
      {"output_norm.weight", Role::norm},
      {"blk.0.attn_q.weight", Role::attn_q},
      {"blk.0.attn_q.bias", Role::attn_q},
      {"blk.60.attn_q_a.weight", Role::attn_q},
      {"blk.60.attn_q_b.weight", Role::attn_q},
      {"blk.60.attn_q_a_norm.weight", Role::norm},
      {"blk.3.attn_k.weight", Role::attn_k},
      {"blk.3.attn_k_b.weight", Role::attn_k},
      {"blk.3.attn_kv_a_mqa.weight", Role::attn_k},
      {"blk.3.attn_kv_a_norm.weight", Role::norm},
      {"blk.3.attn_kv_b.weight", Role::attn_v},
      {"blk.3.attn_v.weight", Role::attn_v},
      {"blk.3.attn_v_b.weight", Role::attn_v},
      {"blk.3.attn_qkv.weight", Role::attn_qkv},
      {"blk.3.attn_output.weight", Role::attn_output},
      {"blk.3.ssm_out.weight", Role::attn_output},
      {"blk.3.attn_gate.weight", Role::attn_other},
      {"blk.3.attn_sinks.weight", Role::attn_other},
      {"blk.3.attn_k_norm.weight", Role::norm},
      {"blk.3.ffn_gate.weight", Role::ffn_gate},
      {"blk.3.ffn_up.weight", Role::ffn_up},
      {"blk.3.ffn_down.weight", Role::ffn_down},
      {"blk.3.ffn_gate_exps.weight", Role::ffn_gate_exps},
      {"blk.3.ffn_gate_up_exps.weight", Role::ffn_gate_exps},
      {"blk.3.ffn_up_exps.weight", Role::ffn_up_exps},
      {"blk.3.ffn_down_exps.weight", Role::ffn_down_exps},
      {"blk.3.ffn_gate_shexp.weight", Role::ffn_shexp},
      {"blk.3.ffn_up_shexp.weight", Role::ffn_shexp},
      {"blk.3.ffn_down_shexp.weight", Role::ffn_shexp},
      {"blk.3.ffn_gate_inp.weight", Role::router},
      {"blk.3.ffn_gate_inp.scale", Role::router},
      {"blk.3.ffn_gate_inp_shexp.weight", Role::router},
      {"blk.3.exp_probs_b.bias", Role::router},
      {"blk.3.post_ffw_norm_1.weight", Role::norm},
      {"blk.3.pre_ffw_norm_2.weight", Role::norm},
      {"blk.3.post_attention_norm.weight", Role::norm},
      {"blk.3.ssm_norm.weight", Role::norm},
      {"blk.3.nextn.enorm.weight", Role::norm},
      {"blk.3.nextn.eh_proj.weight", Role::other},
      {"blk.3.nextn.shared_head_head.weight", Role::output},
      {"blk.3.ssm_conv1d.weight", Role::ssm},
      {"blk.3.ssm_a", Role::ssm},
      {"blk.3.ssm_dt.bias", Role::ssm},
      {"blk.3.ssm_ba.weight", Role::ssm},
      {"blk.3.time_mix_key.weight", Role::ssm},
      {"blk.3.inp_gate.weight", Role::other},
      {"blk.3.proj.weight", Role::other},
      {"rope_freqs.weight", Role::other},
      {"v.blk.3.attn_q.weight", Role::attn_q},
      {"", Role::other},
      {"blk.", Role::other},
      {"blk.99999999999999.attn_q.weight", Role::other},
  };
  for (const auto& [name, role] : wanted) EXPECT_EQ(role_name(role_of(name)), role_name(role)) << name;
}

TEST(Roles, LayerIsTheNumberOfTheBlock) {
  EXPECT_EQ(layer_of("blk.0.attn_q.weight"), 0);
  EXPECT_EQ(layer_of("blk.123.x"), 123);
  for (const char* name :
       {"output.weight", "blk.x.a", "blk..a", "blk.-1.a", "blk.7", "v.blk.3.a", "xblk.3.a", ""})
    EXPECT_EQ(layer_of(name), -1) << name;
}

TEST(Roles, QuantizesMatricesOnly) {
  EXPECT_TRUE(is_quantizable(tensor("blk.0.attn_q.weight")));
  EXPECT_TRUE(is_quantizable(tensor("blk.0.ffn_down_exps.weight", {64, 64, 8, 1})));
  EXPECT_TRUE(is_quantizable(tensor("token_embd.weight")));
  EXPECT_TRUE(is_quantizable(tensor("blk.0.ssm_ba.weight")));
  EXPECT_FALSE(is_quantizable(tensor("blk.0.attn_q.weight", {64, 1, 1, 1})));
  EXPECT_FALSE(is_quantizable(tensor("blk.0.attn_q.bias")));
  EXPECT_FALSE(is_quantizable(tensor("blk.0.ssm_a")));
}

TEST(Roles, KeepsWhatLlamaQuantizeKeeps) {
  for (const char* name : {"blk.0.attn_norm.weight",
                           "blk.0.ffn_gate_inp.weight",
                           "blk.0.ffn_gate_tid2eid.weight",
                           "altup_proj.weight",
                           "blk.0.laurel_l.weight",
                           "per_layer_model_proj.weight",
                           "blk.0.ssm_conv1d.weight",
                           "blk.0.shortconv.conv.weight",
                           "blk.0.indexer.k_proj.weight",
                           "blk.0.indexer.q_proj.weight",
                           "blk.0.time_mix_first.weight",
                           "blk.0.time_mix_w0.weight",
                           "blk.0.time_mix_w2.weight",
                           "blk.0.time_mix_v1.weight",
                           "blk.0.time_mix_a2.weight",
                           "blk.0.time_mix_g1.weight",
                           "blk.0.time_mix_decay_w2.weight",
                           "blk.0.time_mix_lerp_fused.weight",
                           "blk.0.attn_rel_b.weight",
                           "v.position_embd.weight",
                           "position_embd.weight",
                           "token_types.weight",
                           "v.patch_embd.weight",
                           "mm.patch_merger.weight",
                           "v.sam.pos_embd.weight",
                           "v.sam.neck.0.weight",
                           "v.sam.net_2.weight",
                           "v.blk.0.rel_pos_h.weight",
                           "a.rvq.codebook.weight",
                           "mm.a.code_embd.weight"})
    EXPECT_FALSE(is_quantizable(tensor(name))) << name;
  for (const char* name : {"blk.0.time_mix_key.weight", "blk.0.indexer.proj.weight", "my_token_types.weight"})
    EXPECT_TRUE(is_quantizable(tensor(name))) << name;
}

/// The preset cases list tensors that llama-quantize gives a type other than the default: all are quantized.
TEST(Roles, KnowsEveryTensorOfThePresetCases) {
  size_t names = 0;
  for (const auto& entry : std::filesystem::directory_iterator{test::data_folder() / "presets"}) {
    if (entry.path().extension() != ".schema") continue;
    std::ifstream file{entry.path()};
    for (std::string line; std::getline(file, line);) {
      if (line.empty() || line[0] == '#' || line[0] == '[') continue;
      std::string name;
      std::istringstream{line} >> name;
      EXPECT_TRUE(is_quantizable(tensor(name))) << name;
      EXPECT_NE(role_of(name), Role::other) << name;
      EXPECT_NE(role_of(name), Role::norm) << name;
      ++names;
    }
  }
  EXPECT_GT(names, 1000u);
}

TEST(ModelShape, IsReadFromTheKeysOfTheArchitecture) {
  using test::GgufBytes;
  GgufBytes file;
  file.key("general.architecture", "gemma4").key("general.name", "Gemma");
  file.key_u32("gemma4.block_count", 3).key_u32("gemma4.embedding_length", 512);
  file.key_u32("gemma4.attention.head_count", 8).key_u32("gemma4.expert_count", 128);
  file.key_u32("gemma4.expert_used_count", 8).key_u32("gemma4.context_length", 131072);
  const std::string heads = GgufBytes::le<int32_t>(4) + GgufBytes::le<int32_t>(4) + GgufBytes::le<int32_t>(2);
  file.key("gemma4.attention.head_count_kv", 9,
           GgufBytes::le<uint32_t>(5) + GgufBytes::le<uint64_t>(3) + heads);
  file.f32("token_embd.weight", {2}, {1, 2});
  const std::string bytes = file.bytes();
  const ModelShape shape = shape_of(gguf::read_model(test::as_bytes(bytes), "m"));
  EXPECT_EQ(shape.architecture, "gemma4");
  EXPECT_EQ(shape.name, "Gemma");
  EXPECT_EQ(shape.layers, 3);
  EXPECT_EQ(shape.embedding, 512);
  EXPECT_EQ(shape.heads, 8);
  EXPECT_EQ(shape.heads_kv, 4);
  EXPECT_EQ(shape.experts, 128);
  EXPECT_EQ(shape.experts_used, 8);
  EXPECT_EQ(shape.context, 131072);
  EXPECT_TRUE(shape.tied_output);
}

TEST(ModelShape, IsZeroWhereTheFileDoesNotSay) {
  test::GgufBytes file;
  file.key("general.architecture", "llama")
      .key_u32("llama.attention.head_count", 32)
      .f32("output.weight", {1}, {1});
  const std::string bytes = file.bytes();
  const ModelShape shape = shape_of(gguf::read_model(test::as_bytes(bytes), "m"));
  EXPECT_EQ(shape.layers, 0);
  EXPECT_EQ(shape.heads_kv, 32);  // as many as heads, unless said
  EXPECT_FALSE(shape.tied_output);
}

}  // namespace
}  // namespace snug
