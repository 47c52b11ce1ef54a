#include <gtest/gtest.h>

#include <cmath>

#include "hf/tiny_checkpoint.hpp"

namespace snug::hf {
namespace {

using test::any_remark;
using test::Dtype;
using test::tiny_llama;
using test::TinyCheckpoint;
using test::values;

constexpr const char* kV = "model.layers.0.self_attn.v_proj";

void expect_refusal(const TinyCheckpoint& model, const std::string& part) {
  const std::string message = model.refusal();
  EXPECT_NE(message.find(part), std::string::npos) << "'" << message << "', wanted '" << part << "'";
}

/// The value projection of the first layer, [4, 8], as other bytes.
TinyCheckpoint with_v(const std::string& quantization, Dtype dtype, const std::string& bytes,
                      std::vector<int64_t> shape = {4, 8}) {
  TinyCheckpoint model = tiny_llama(",\"quantization_config\":" + quantization);
  return model.add_bytes(std::string{kV} + ".weight", std::move(shape), dtype, bytes);
}

template <class T>
std::string little_endian(std::initializer_list<T> words) {
  std::string bytes;
  for (const T word : words) bytes.append(reinterpret_cast<const char*>(&word), sizeof word);
  return bytes;
}

std::string le32(std::initializer_list<uint32_t> words) { return little_endian(words); }
std::string le64(std::initializer_list<int64_t> words) { return little_endian(words); }

TEST(Fp8, BlocksOfScalesMultiplyEvenWherePartial) {
  auto model = with_v(R"({"quant_method":"fp8","weight_block_size":[3,5]})", Dtype::f8_e4m3, std::string(32, '\x38'));
  model.add_values(std::string{kV} + ".weight_scale_inv", {2, 2}, {2, 3, 4, 5});
  model.add_values(std::string{kV} + ".activation_scale", {1}, {1});
  const ModelSource opened = model.open();
  const std::vector<float> v = values(opened, "blk.0.attn_v.weight");
  EXPECT_EQ(v[0], 2) << "0x38 is 1";
  EXPECT_EQ(v[5], 3);
  EXPECT_EQ(v[3 * 8 + 4], 4);
  EXPECT_EQ(v[3 * 8 + 5], 5);
  EXPECT_EQ(opened.find("blk.0.attn_v.weight")->format, FormatId::bf16);
  EXPECT_TRUE(any_remark(opened, "1 tensors are decoded to bf16"));
}

TEST(Fp8, CodesMeanWhatTheyShould) {
  const auto value_of = [](char code, Dtype dtype) {
    auto model = with_v(R"({"quant_method":"fp8"})", dtype, std::string(32, code));
    model.add_values(std::string{kV} + ".weight_scale_inv", {}, {1});
    return values(model.open(), "blk.0.attn_v.weight")[31];
  };
  EXPECT_EQ(value_of('\x7e', Dtype::f8_e4m3), 448);
  EXPECT_EQ(value_of('\x01', Dtype::f8_e4m3), 0x1p-9f);
  EXPECT_EQ(value_of('\x88', Dtype::f8_e4m3), -0x1p-6f);
  EXPECT_TRUE(std::isnan(value_of('\xff', Dtype::f8_e4m3)));
  EXPECT_EQ(value_of('\x7b', Dtype::f8_e5m2), 57344);
  EXPECT_EQ(value_of('\x03', Dtype::f8_e5m2), 3 * 0x1p-16f);
  EXPECT_TRUE(std::isinf(value_of('\x7c', Dtype::f8_e5m2)));
}

TEST(Fp8, ScaleOfEveryRow) {
  auto model = with_v(R"({"quant_method":"fp8"})", Dtype::f8_e4m3, std::string(32, '\x38'));
  model.add_values(std::string{kV} + ".weight_scale_inv", {4, 1}, {1, 2, 3, 4});
  EXPECT_EQ(values(model.open(), "blk.0.attn_v.weight")[2 * 8 + 7], 3);
}

TEST(Fp8, ScalesMayLieAtOddBytesOrBeWide) {
  for (const Dtype dtype : {Dtype::f32, Dtype::i64}) {
    auto model = with_v(R"({"quant_method":"fp8"})", Dtype::f8_e4m3, std::string(32, '\x38'));
    const std::string name = std::string{kV} + ".weight_scale_inv";
    model.add_bytes("model.aaa.rotary_emb.inv_freq", {3}, Dtype::u8, "abc");  // everything behind it is unaligned
    if (dtype == Dtype::f32)
      model.add_values(name, {4}, {1, 2, 3, 4});
    else
      model.add_bytes(name, {4}, dtype, le64({1, 2, 3, 4}));
    const std::vector<float> v = values(model.open(), "blk.0.attn_v.weight");
    for (size_t row = 0; row < 4; ++row) EXPECT_EQ(v[row * 8 + 7], static_cast<float>(row + 1));
  }
}

TEST(Fp8, ScalesThatHaveScalesThemselvesAreRefused) {
  auto model = with_v(R"({"quant_method":"fp8"})", Dtype::f8_e4m3, std::string(32, '\x38'));
  const std::string scale = std::string{kV} + ".weight_scale_inv";
  model.add_bytes(scale, {1, 4}, Dtype::f8_e4m3, std::string(4, '\x38')).add_values(scale + "_scale_inv", {1}, {1});
  expect_refusal(model, "not numbers");
}

TEST(Fp8, RowsArePermutedAfterDecoding) {
  auto model = tiny_llama(R"(,"quantization_config":{"quant_method":"fp8","weight_block_size":[1,8]})");
  model.add_bytes("model.layers.0.self_attn.q_proj.weight", {8, 8}, Dtype::f8_e4m3, std::string(64, '\x38'));
  model.add_values("model.layers.0.self_attn.q_proj.weight_scale_inv", {8, 1}, {0, 1, 2, 3, 4, 5, 6, 7});
  const std::vector<float> q = values(model.open(), "blk.0.attn_q.weight");
  const float rows[] = {0, 2, 1, 3, 4, 6, 5, 7};
  for (size_t row = 0; row < 8; ++row) EXPECT_EQ(q[row * 8], rows[row]);
}

TEST(Fp8, WithoutScalesOrWithOthersIsRefused) {
  expect_refusal(with_v(R"({"quant_method":"fp8"})", Dtype::f8_e4m3, std::string(32, '\x38')), "no weights by themselves");
  auto model = with_v(R"({"quant_method":"fp8","weight_block_size":[2,2]})", Dtype::f8_e4m3, std::string(32, '\x38'));
  model.add_values(std::string{kV} + ".weight_scale_inv", {3, 2}, std::vector<float>(6, 1));
  expect_refusal(model, "the scales");
}

constexpr const char* kPacked = R"({"quant_method":"compressed-tensors","format":"pack-quantized","config_groups":
  {"group_0":{"weights":{"num_bits":4,"group_size":4,"strategy":"group"}}}})";

TEST(Packed, WordsHoldEightCodesOfFourBits) {
  auto model = tiny_llama(std::string{",\"quantization_config\":"} + kPacked);
  model.remove(std::string{kV} + ".weight");
  model.add_bytes(std::string{kV} + ".weight_packed", {4, 1}, Dtype::i32,
                  le32({0x76543210, 0xfedcba98, 0x88888888, 0xffffffff}));
  model.add_bytes(std::string{kV} + ".weight_shape", {2}, Dtype::i32, le32({4, 8}));
  model.add_values(std::string{kV} + ".weight_scale", {4, 2}, {1, 2, 1, 2, 1, 1, 3, 1}, Dtype::bf16);
  const std::vector<float> v = values(model.open(), "blk.0.attn_v.weight");
  EXPECT_EQ((std::vector<float>{v.begin(), v.begin() + 8}), (std::vector<float>{-8, -7, -6, -5, -8, -6, -4, -2}));
  EXPECT_EQ(v[8], 0);
  EXPECT_EQ(v[16], 0);
  EXPECT_EQ(v[24], 21);
}

TEST(Packed, ZeroPointsLieAlongTheRows) {
  auto model = tiny_llama(std::string{",\"quantization_config\":"} + kPacked);
  model.remove(std::string{kV} + ".weight");
  model.add_bytes(std::string{kV} + ".weight_packed", {4, 1}, Dtype::i32, std::string(16, '\x55'));
  model.add_bytes(std::string{kV} + ".weight_shape", {2}, Dtype::i32, le32({4, 8}));
  model.add_values(std::string{kV} + ".weight_scale", {4, 2}, std::vector<float>(8, 1), Dtype::bf16);
  model.add_bytes(std::string{kV} + ".weight_zero_point", {1, 2}, Dtype::i32, le32({0x4321, 0x8765}));
  const std::vector<float> v = values(model.open(), "blk.0.attn_v.weight");
  EXPECT_EQ(v[0], 5 - 1);
  EXPECT_EQ(v[7], 5 - 5);
  EXPECT_EQ(v[3 * 8], 5 - 4);
  EXPECT_EQ(v[3 * 8 + 4], 5 - 8);
}

TEST(Quantized, UnknownMethodsAreNamed) {
  expect_refusal(tiny_llama(R"(,"quantization_config":{"quant_method":"bitsandbytes"})"), "\"bitsandbytes\"");
  expect_refusal(tiny_llama(R"(,"quantization_config":{"quant_method":"mxfp4"})"), "\"mxfp4\"");
  expect_refusal(tiny_llama(R"(,"quantization_config":{"quant_method":7})"), "another kind");
  expect_refusal(tiny_llama(R"(,"quantization_config":{"quant_method":"compressed-tensors","format":"nvfp4-pack-quantized"})"),
                 "nvfp4");
}

// --- gpt-oss --------------------------------------------------------------------------------------------------------

TinyCheckpoint tiny_gpt_oss() {
  TinyCheckpoint model{R"({"architectures":["GptOssForCausalLM"],"model_type":"gpt_oss","vocab_size":10,
    "hidden_size":32,"intermediate_size":32,"num_hidden_layers":1,"num_attention_heads":2,"num_key_value_heads":1,
    "head_dim":4,"num_local_experts":2,"num_experts_per_tok":1,"quantization_config":{"quant_method":"mxfp4"}})"};
  const std::string layer = "model.layers.0.", experts = layer + "mlp.experts.";
  model.add("model.embed_tokens.weight", {10, 32}).add("model.norm.weight", {32}).add("lm_head.weight", {10, 32});
  model.add(layer + "input_layernorm.weight", {32}).add(layer + "post_attention_layernorm.weight", {32});
  model.add(layer + "self_attn.sinks", {2}).add(layer + "mlp.router.weight", {2, 32});
  model.add(layer + "self_attn.q_proj.weight", {8, 32}).add(layer + "self_attn.o_proj.weight", {32, 8});
  model.add(layer + "self_attn.k_proj.weight", {4, 32}).add(layer + "self_attn.v_proj.weight", {4, 32});
  std::string codes;  // element i of every row has the code i mod 16: pairs 0x10, 0x32, …
  for (int i = 0; i < 16; ++i) codes += static_cast<char>((2 * i) % 16 | (2 * i + 1) % 16 << 4);
  std::string gate_up, down, scales;
  for (int row = 0; row < 2 * 64; ++row) gate_up += codes, scales += static_cast<char>(127 + row % 2);
  for (int row = 0; row < 2 * 32; ++row) down += codes;
  model.add_bytes(experts + "gate_up_proj_blocks", {2, 64, 1, 16}, Dtype::u8, gate_up);
  model.add_bytes(experts + "gate_up_proj_scales", {2, 64, 1}, Dtype::u8, scales);
  model.add_bytes(experts + "down_proj_blocks", {2, 32, 1, 16}, Dtype::u8, down);
  model.add_bytes(experts + "down_proj_scales", {2, 32, 1}, Dtype::u8, std::string(64, '\x7f'));
  return model.add(experts + "gate_up_proj_bias", {2, 64}).add(experts + "down_proj_bias", {2, 32});
}

TEST(GptOss, BlocksKeepTheirCodesAndScales) {
  const ModelSource model = tiny_gpt_oss().open();
  const Tensor& up = *model.find("blk.0.ffn_up_exps.weight");
  EXPECT_EQ(up.format, FormatId::mxfp4);
  EXPECT_EQ(up.experts(), 2);
  std::vector<std::byte> block(17);
  up.read_blocks(5, 1, block);
  EXPECT_EQ(block[0], std::byte{128}) << "odd rows are the up rows";
  EXPECT_EQ(block[1], std::byte{0x00}) << "elements 0 and 16";
  EXPECT_EQ(block[4], std::byte{0x33}) << "elements 3 and 19";
  const float levels[] = {0, .5, 1, 1.5, 2, 3, 4, 6};
  const std::vector<float> gate = values(model, "blk.0.ffn_gate_exps.weight"), twice = values(model, "blk.0.ffn_up_exps.weight");
  for (size_t i = 0; i < 32; ++i) {
    EXPECT_EQ(gate[i], levels[i % 8] * (i % 16 < 8 ? 1.0f : -1.0f)) << i;
    EXPECT_EQ(twice[i], 2 * gate[i]) << i;
  }
}

TEST(GptOss, BiasesOfGatesAndUpsTakeTurns) {
  const ModelSource model = tiny_gpt_oss().open();
  const std::vector<float> gate = values(model, "blk.0.ffn_gate_exps.bias"), up = values(model, "blk.0.ffn_up_exps.bias");
  EXPECT_EQ(gate[3], test::weight(6));
  EXPECT_EQ(up[3], test::weight(7));
  EXPECT_EQ(up[32], test::weight(65));
}

TEST(GptOss, UnquantizedExpertsAreTransposed) {
  auto model = tiny_gpt_oss();
  const std::string experts = "model.layers.0.mlp.experts.";
  for (const char* part : {"gate_up_proj", "down_proj"})
    for (const char* end : {"_blocks", "_scales"}) model.remove(experts + part + end);
  model.add(experts + "gate_up_proj", {2, 32, 64}).add(experts + "down_proj", {2, 32, 32});
  const ModelSource opened = model.open();
  EXPECT_EQ(values(opened, "blk.0.ffn_up_exps.weight")[32 + 5], test::weight(5 * 64 + 3)) << "row 1, input 5";
  EXPECT_EQ(values(opened, "blk.0.ffn_down_exps.weight")[2 * 32 + 7], test::weight(7 * 32 + 2));
}

/// Some programs that train it take the experts apart.
TEST(GptOss, ExpertsByThemselvesAreRefused) {
  auto model = tiny_gpt_oss();
  model.add("model.layers.0.mlp.experts.gate_up_projs.0.weight", {64, 32});
  expect_refusal(model, "gate_up_projs.0.weight\" has no place");
}

TEST(GptOss, BlocksWithoutScalesAreRefused) {
  auto model = tiny_gpt_oss();
  model.remove("model.layers.0.mlp.experts.down_proj_scales");
  expect_refusal(model, "no scales that fit");
}

}  // namespace
}  // namespace snug::hf
