#include "hf/checkpoint.hpp"

#include <gtest/gtest.h>

#include "base/events.hpp"
#include "hf/tiny_checkpoint.hpp"

namespace snug::hf {
namespace {

using test::any_remark;
using test::Dtype;
using test::tiny_llama;
using test::TinyCheckpoint;
using test::values;
using test::weight;

void expect_refusal(const TinyCheckpoint& model, const std::string& part) {
  const std::string message = model.refusal();
  EXPECT_NE(message.find(part), std::string::npos) << "'" << message << "', wanted '" << part << "'";
}

std::vector<float> counted(size_t from, size_t count) {
  std::vector<float> numbers;
  for (size_t i = from; i < from + count; ++i) numbers.push_back(weight(i));
  return numbers;
}

TEST(Checkpoint, NamesAndShapesAreGgufs) {
  const ModelSource model = tiny_llama().open();
  EXPECT_EQ(model.tensors().size(), 21u);
  EXPECT_EQ(model.container(), "safetensors");
  EXPECT_EQ(model.metadata().text("general.architecture"), "llama");
  const Tensor& down = *model.find("blk.1.ffn_down.weight");
  EXPECT_EQ(down.cols(), 12);
  EXPECT_EQ(down.rows(), 8);
  EXPECT_EQ(down.format, FormatId::bf16);
  EXPECT_FALSE(down.contiguous().empty()) << "an unchanged matrix is read in place";
  EXPECT_EQ(values(model, "blk.1.ffn_down.weight"), counted(0, 96));
  EXPECT_EQ(model.find("blk.0.attn_norm.weight")->format, FormatId::f32);
}

TEST(Checkpoint, RowsOfQueriesAndKeysAreNeighboursInPairs) {
  const ModelSource model = tiny_llama().open();
  const std::vector<float> q = values(model, "blk.0.attn_q.weight"), v = values(model, "blk.0.attn_v.weight");
  const size_t old_rows[] = {0, 2, 1, 3, 4, 6, 5, 7};  // heads of 4: halves 0 1 | 2 3 become pairs 0 2, 1 3
  for (size_t row = 0; row < 8; ++row)
    EXPECT_EQ((std::vector<float>{q.begin() + static_cast<int>(row) * 8, q.begin() + static_cast<int>(row) * 8 + 8}),
              counted(old_rows[row] * 8, 8))
        << row;
  EXPECT_EQ(v, counted(0, 32));
  EXPECT_FALSE(model.find("blk.0.attn_q.weight")->row(3).empty()) << "rows in another order are read in place";
}

TEST(Checkpoint, BiasesOfQueriesFollowTheirRows) {
  auto with_bias = tiny_llama(R"(,"attention_bias":true)");
  for (const std::string layer : {"model.layers.0.", "model.layers.1."})
    with_bias.add(layer + "self_attn.q_proj.bias", {8});
  const ModelSource model = with_bias.open();
  const float w[] = {weight(0), weight(2), weight(1), weight(3), weight(4), weight(6), weight(5), weight(7)};
  EXPECT_EQ(values(model, "blk.1.attn_q.bias"), std::vector<float>(std::begin(w), std::end(w)));
  EXPECT_EQ(model.find("blk.1.attn_q.bias")->format, FormatId::f32);
}

TEST(Checkpoint, ShardedAndWholeAreTheSameModel) {
  const test::Scratch scratch;
  tiny_llama().save(scratch.path(), 300);
  const ModelSource sharded = open_checkpoint(scratch.path()), whole = tiny_llama().open();
  EXPECT_GT(sharded.files().size(), 3u);
  EXPECT_EQ(sharded.contents_digest(), whole.contents_digest());
}

TEST(Checkpoint, ClassDefaultsStandInForWhatIsNotSaid) {
  const ModelSource model = tiny_llama().open();
  EXPECT_EQ(model.metadata().integer("llama.context_length"), 2048);
  EXPECT_FLOAT_EQ(static_cast<float>(*model.metadata().real("llama.rope.freq_base")), 10000.0f);
  EXPECT_EQ(model.metadata().integer("llama.attention.key_length"), 4);
  EXPECT_FLOAT_EQ(static_cast<float>(*model.metadata().real("llama.attention.layer_norm_rms_epsilon")), 1e-6f);
}

TEST(Checkpoint, BothSpellingsOfRotaryEmbeddings) {
  for (const char* spelling : {R"(,"rope_theta":5e5,"rope_scaling":{"type":"linear","factor":4})",
                               R"(,"rope_parameters":{"rope_type":"linear","factor":4.0,"rope_theta":500000})"}) {
    const ModelSource model = tiny_llama(spelling).open();
    EXPECT_EQ(model.metadata().real("llama.rope.freq_base"), 5e5) << spelling;
    EXPECT_EQ(model.metadata().text("llama.rope.scaling.type"), "linear") << spelling;
    EXPECT_EQ(model.metadata().real("llama.rope.scaling.factor"), 4) << spelling;
  }
}

TEST(Checkpoint, Llama3ScalingBecomesFactorsOfFrequencies) {
  const ModelSource model = tiny_llama(R"(,"rope_scaling":{"rope_type":"llama3","factor":8.0,"low_freq_factor":1.0,
      "high_freq_factor":4.0,"original_max_position_embeddings":8192},"head_dim":4)").open();
  EXPECT_EQ(values(model, "rope_freqs.weight"), (std::vector<float>{1, 1}));  // waves of 6 and 628 tokens are short
  EXPECT_FALSE(model.metadata().text("llama.rope.scaling.type"));
}

// --- what is not there, or should not be ---------------------------------------------------------------------------

TEST(Trap, AHeadThatIsMissingIsTheEmbedding) {
  auto model = tiny_llama();
  model.remove("lm_head.weight");
  EXPECT_TRUE(any_remark(model.open(), "embedding serves as head"));
  auto tied = tiny_llama(R"(,"tie_word_embeddings":true)");
  tied.remove("lm_head.weight");
  EXPECT_FALSE(any_remark(tied.open(), "embedding serves as head"));
}

TEST(Trap, AHeadThatIsStoredIsKeptThoughTied) {
  EXPECT_TRUE(tiny_llama(R"(,"tie_word_embeddings":true)").open().find("output.weight"));
}

TEST(Trap, NamesWithoutPrefixAreTheSameModel) {
  auto bare = tiny_llama();
  bare.rename("model.", "");
  EXPECT_EQ(bare.open().contents_digest(), tiny_llama().open().contents_digest());
}

TEST(Trap, NamesInsideAMultimodalModel) {
  for (const char* prefix : {"model.language_model.", "language_model.model."}) {
    auto model = tiny_llama();
    model.rename("model.", prefix).rename("lm_head", "language_model.lm_head");
    model.add("model.vision_tower.patch_embedding.weight", {3, 3, 2, 2, 2}).add("multi_modal_projector.w", {2});
    const ModelSource opened = model.open();
    EXPECT_EQ(opened.contents_digest(), tiny_llama().open().contents_digest()) << prefix;
    EXPECT_TRUE(any_remark(opened, "2 tensors of other parts"));
  }
}

TEST(Trap, TensorsThatAreNeverNeededAreLeftOut) {
  auto model = tiny_llama();
  model.add("model.layers.0.self_attn.rotary_emb.inv_freq", {2}, Dtype::f32);
  EXPECT_EQ(model.open().tensors().size(), 21u);
}

TEST(Trap, ATensorWithoutAPlaceIsRefused) {
  auto model = tiny_llama();
  model.add("model.layers.0.self_attn.q_proj.lora_A.weight", {2, 8});
  expect_refusal(model, "lora_A.weight\" has no place");
  auto adapted = tiny_llama();
  adapted.rename("model.", "base_model.model.model.");
  expect_refusal(adapted, "has no place");
}

TEST(Trap, AMissingTensorIsRefused) {
  for (const char* name : {"model.embed_tokens.weight", "model.norm.weight", "model.layers.1.self_attn.v_proj.weight",
                           "model.layers.0.mlp.up_proj.weight", "model.layers.0.mlp.gate_proj.weight",
                           "model.layers.1.mlp.down_proj.weight", "model.layers.1.input_layernorm.weight"}) {
    auto model = tiny_llama();
    model.remove(name);
    expect_refusal(model, "lacks the tensor that becomes");
  }
}

TEST(Trap, AConfigurationOfAnotherCheckpointIsRefused) {
  auto model = tiny_llama();
  model.add("model.embed_tokens.weight", {10, 16});
  expect_refusal(model, "hidden_size is 8, the embedding has 16 columns");
}

/// One layer of latent attention: two heads of 2 and 4 rotated rows, latents of 6.
TinyCheckpoint tiny_deepseek(const std::string& more = "") {
  TinyCheckpoint model{R"({"architectures":["DeepseekV3ForCausalLM"],"model_type":"deepseek_v3","vocab_size":10,"hidden_size":8,
    "intermediate_size":12,"num_hidden_layers":1,"first_k_dense_replace":1,"num_attention_heads":2,"num_key_value_heads":2,
    "q_lora_rank":null,"kv_lora_rank":6,"qk_nope_head_dim":2,"qk_rope_head_dim":4,"v_head_dim":3)" + more + "}"};
  const std::string layer = "model.layers.0.", attention = layer + "self_attn.";
  model.add("model.embed_tokens.weight", {10, 8}).add("model.norm.weight", {8}).add("lm_head.weight", {10, 8});
  model.add(layer + "input_layernorm.weight", {8}).add(layer + "post_attention_layernorm.weight", {8});
  model.add(attention + "q_proj.weight", {12, 8}).add(attention + "kv_a_proj_with_mqa.weight", {10, 8});
  model.add(attention + "kv_a_layernorm.weight", {6}).add(attention + "kv_b_proj.weight", {10, 6});
  model.add(attention + "o_proj.weight", {8, 6}).add(layer + "mlp.down_proj.weight", {8, 12});
  return model.add(layer + "mlp.gate_proj.weight", {12, 8}).add(layer + "mlp.up_proj.weight", {12, 8});
}

std::vector<float> rows_of(const ModelSource& model, const char* name, std::initializer_list<size_t> rows) {
  const std::vector<float> all = values(model, name);
  std::vector<float> chosen;
  for (const size_t row : rows)
    for (size_t i = 8 * row; i < 8 * (row + 1); ++i) chosen.push_back(all.at(i));
  return chosen;
}

TEST(Trap, RotatedHalvesOfDeepseekBecomePairs) {
  const ModelSource pairs = tiny_deepseek().open(), halves = tiny_deepseek(R"(,"rope_interleave":false)").open();
  constexpr const char *kQuery = "blk.0.attn_q.weight", *kLatent = "blk.0.attn_kv_a_mqa.weight";
  EXPECT_EQ(values(halves, kQuery), rows_of(pairs, kQuery, {0, 1, 2, 4, 3, 5, 6, 7, 8, 10, 9, 11}));
  EXPECT_EQ(values(halves, kLatent), rows_of(pairs, kLatent, {0, 1, 2, 3, 4, 5, 6, 8, 7, 9}));
}

TEST(Trap, AnUnknownClassIsNamed) {
  auto model = tiny_llama();
  model.config(R"({"architectures":["FooForCausalLM"],"model_type":"foo","num_hidden_layers":1})");
  expect_refusal(model, "\"FooForCausalLM\"");
  expect_refusal(model, "Qwen3NextForCausalLM");
  model.config(R"({"model_type":"llama"})");
  expect_refusal(model, "architectures");
  model.config("[1]");
  expect_refusal(model, "no object");
}

TEST(Trap, AFolderOfMlxIsReadAsOne) {
  auto model = tiny_llama();
  model.metadata({{"format", "mlx"}});
  EXPECT_EQ(model.open().container(), "safetensors of MLX");
}

TEST(Trap, NumbersBeyondHalfPrecisionStayWhatTheyAre) {
  auto model = tiny_llama();
  model.add_values("model.layers.0.mlp.up_proj.weight", {12, 8}, std::vector<float>(96, 131072.0f), Dtype::bf16);
  EXPECT_EQ(values(model.open(), "blk.0.ffn_up.weight"), std::vector<float>(96, 131072.0f));
}

TEST(Trap, TensorsAtOddBytesAreRead) {
  auto model = tiny_llama();
  model.add_bytes("model.aaa.rotary_emb.inv_freq", {3}, Dtype::u8, "abc");  // everything behind it is unaligned
  const ModelSource opened = model.open();
  EXPECT_EQ(opened.contents_digest(), tiny_llama().open().contents_digest());
}

TEST(Trap, WholeNumbersMayBeWrittenWithAPoint) {
  EXPECT_EQ(tiny_llama(R"(,"max_position_embeddings":4096.0)").open().metadata().integer("llama.context_length"), 4096);
  expect_refusal(tiny_llama(R"(,"max_position_embeddings":"many")"), "max_position_embeddings");
  expect_refusal(tiny_llama(R"(,"max_position_embeddings":-1)"), "max_position_embeddings");
}

// --- experts ------------------------------------------------------------------------------------------------------

TinyCheckpoint tiny_mixtral(int experts) {
  TinyCheckpoint model = tiny_llama();
  model.config(R"({"architectures":["MixtralForCausalLM"],"model_type":"mixtral","vocab_size":10,
    "hidden_size":8,"intermediate_size":12,"num_hidden_layers":2,"num_attention_heads":2,"num_key_value_heads":1,
    "num_local_experts":3,"num_experts_per_tok":2})");
  for (const std::string layer : {"model.layers.0.", "model.layers.1."}) {
    for (const char* part : {"gate", "up", "down"}) model.remove(layer + "mlp." + part + "_proj.weight");
    model.add(layer + "block_sparse_moe.gate.weight", {3, 8});
    for (int e = 0; e < experts; ++e) {
      const std::string expert = layer + "block_sparse_moe.experts." + std::to_string(e);
      model.add_values(expert + ".w1.weight", {12, 8}, std::vector<float>(96, static_cast<float>(e)), Dtype::bf16);
      model.add(expert + ".w2.weight", {8, 12}).add(expert + ".w3.weight", {12, 8});
    }
  }
  return model;
}

TEST(Experts, AreStackedInPlace) {
  const ModelSource model = tiny_mixtral(3).open();
  const Tensor& gate = *model.find("blk.1.ffn_gate_exps.weight");
  EXPECT_EQ(gate.experts(), 3);
  EXPECT_EQ(gate.run_rows(), 12);
  EXPECT_FALSE(gate.run(24).empty());
  const std::vector<float> all = gate.values();
  EXPECT_EQ(all[0], 0);
  EXPECT_EQ(all[96], 1);
  EXPECT_EQ(all[287], 2);
  EXPECT_EQ(model.find("blk.0.ffn_gate_inp.weight")->format, FormatId::f32);
}

TEST(Experts, ThatAreMissingOrTooManyAreRefused) {
  expect_refusal(tiny_mixtral(2), "expert 2 is missing");
  expect_refusal(tiny_mixtral(4), "there are more");
  auto model = tiny_mixtral(3);
  model.remove("model.layers.1.block_sparse_moe.experts.1.w2.weight");
  expect_refusal(model, "expert 1 is missing");
}

TEST(OpenModel, LogsTheRemarks) {
  struct Log : Events {
    void log(std::string_view line) override { lines.emplace_back(line); }
    std::vector<std::string> lines;
  } log;
  const test::Scratch scratch;
  tiny_llama().save(scratch.path());
  const EventScope scope{log};
  const ModelSource model = open_model(scratch.path());
  EXPECT_EQ(log.lines, std::vector<std::string>(model.remarks().begin(), model.remarks().end()));
  EXPECT_FALSE(log.lines.empty()) << "the folder has no tokenizer";
}

TEST(Gemma, NormsAreStoredLessOne) {
  TinyCheckpoint model = tiny_llama();
  model.config(R"({"architectures":["Gemma2ForCausalLM"],"model_type":"gemma2","vocab_size":10,"head_dim":4,"query_pre_attn_scalar":4,
    "hidden_size":8,"intermediate_size":12,"num_hidden_layers":2,"num_attention_heads":2,"num_key_value_heads":1})");
  for (const std::string layer : {"model.layers.0.", "model.layers.1."})
    model.add(layer + "pre_feedforward_layernorm.weight", {8}).add(layer + "post_feedforward_layernorm.weight", {8});
  const ModelSource opened = model.open();
  for (const char* name : {"output_norm.weight", "blk.0.attn_norm.weight", "blk.1.post_ffw_norm.weight"})
    EXPECT_EQ(values(opened, name)[3], weight(3) + 1) << name;
  EXPECT_EQ(values(opened, "blk.0.attn_q.weight"), counted(0, 64)) << "rows stay where they are";
  EXPECT_FALSE(opened.find("output.weight")) << "the head is the embedding, whatever is stored";
  EXPECT_EQ(opened.metadata().real("gemma2.final_logit_softcapping"), 30);
}

}  // namespace
}  // namespace snug::hf
