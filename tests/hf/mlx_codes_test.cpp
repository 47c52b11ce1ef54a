// Folders that MLX wrote: codes, scales and biases put together, names and layouts of its own.
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "base/str.hpp"
#include "hf/tiny_checkpoint.hpp"
#include "quant/planes.hpp"

namespace snug::hf {
namespace {

using test::Dtype;
using test::TinyCheckpoint;
using test::values;

constexpr int64_t kHidden = 64;

/// A llama of one layer, two heads of 32 and one of keys, whose matrices are all [64, 64] but those of keys.
TinyCheckpoint tiny_mlx(const std::string& quantization, int64_t hidden = kHidden) {
  const int64_t head = hidden / 2;
  TinyCheckpoint model{str(R"({"architectures":["LlamaForCausalLM"],"model_type":"llama","vocab_size":10,"hidden_size":)",
                           hidden, R"(,"intermediate_size":64,"num_hidden_layers":1,"num_attention_heads":2,)",
                           R"("num_key_value_heads":1,"quantization":)", quantization, ",\"quantization_config\":",
                           quantization, "}")};
  const std::string layer = "model.layers.0.";
  model.metadata({{"format", "mlx"}});
  model.add("model.embed_tokens.weight", {10, hidden}).add("model.norm.weight", {hidden});
  model.add("lm_head.weight", {10, hidden}).add(layer + "input_layernorm.weight", {hidden});
  model.add(layer + "post_attention_layernorm.weight", {hidden});
  model.add(layer + "self_attn.q_proj.weight", {hidden, hidden}).add(layer + "self_attn.o_proj.weight", {hidden, hidden});
  model.add(layer + "self_attn.k_proj.weight", {head, hidden}).add(layer + "self_attn.v_proj.weight", {head, hidden});
  model.add(layer + "mlp.gate_proj.weight", {64, hidden}).add(layer + "mlp.up_proj.weight", {64, hidden});
  return model.add(layer + "mlp.down_proj.weight", {hidden, 64});
}

Dtype dtype_of(PlaneType type) {
  switch (type) {
    case PlaneType::u32: return Dtype::u32;
    case PlaneType::u8: return Dtype::u8;
    case PlaneType::f16: return Dtype::f16;
    case PlaneType::bf16: return Dtype::bf16;
  }
  return Dtype::u8;
}

/// Replaces a module's weight by the planes of blocks; `shape` is that of the weights.
void add_quantized(TinyCheckpoint& model, const std::string& module, const Format& format, std::vector<int64_t> shape,
                   std::span<const std::byte> blocks) {
  const size_t count = blocks.size() / format.block_bytes;
  const int64_t cols = shape.back();
  for (const Plane& plane : format.planes) {
    std::string bytes(count * plane.bytes, '\0');
    split_plane(format, plane, blocks, std::as_writable_bytes(std::span{bytes}));
    const int64_t of_row = cols / format.block_weights * plane.bytes;
    shape.back() = plane.type == PlaneType::u32 ? of_row / 4 : cols / format.block_weights;
    model.add_bytes(str(module, ".", plane.name), shape, dtype_of(plane.type), bytes);
  }
}

std::vector<std::byte> some_blocks(const Format& format, int64_t rows, int64_t cols) {
  std::vector<std::byte> blocks(static_cast<size_t>(format.row_bytes(cols) * rows));
  std::vector<float> row(static_cast<size_t>(cols));
  for (int64_t r = 0; r < rows; ++r) {
    for (size_t c = 0; c < row.size(); ++c) row[c] = test::weight(static_cast<size_t>(r * 7) + c * 3) / 64;
    format.encode(row, {}, Effort::normal, blocks.data() + r * format.row_bytes(cols));
  }
  return blocks;
}

std::vector<float> decoded(const Format& format, std::span<const std::byte> blocks) {
  std::vector<float> out(blocks.size() / format.block_bytes * format.block_weights);
  format.decode(blocks.data(), out);
  return out;
}

const std::string kV = "model.layers.0.self_attn.v_proj", kQ = "model.layers.0.self_attn.q_proj";

struct NamedMode {
  const char* block;
  const char* format;
};

TEST(MlxCodes, EveryModeKeepsItsFormatAndValues) {
  const NamedMode modes[] = {
      {R"({"group_size":64,"bits":4})", "mlx_q4_g64"},
      {R"({"group_size":32,"bits":3,"mode":"affine"})", "mlx_q3_g32"},
      {R"({"group_size":64,"bits":5,"mode":"affine"})", "mlx_q5_g64"},
      {R"({"group_size":64,"bits":8,"mode":"affine"})", "mlx_q8_g64_f16"},
      {R"({"group_size":32,"bits":4,"mode":"mxfp4"})", "mlx_mxfp4"},
      {R"({"group_size":16,"bits":4,"mode":"nvfp4"})", "mlx_nvfp4"},
      {R"({"group_size":32,"bits":8,"mode":"mxfp8"})", "mlx_mxfp8"},
      {R"({"group_size":null,"bits":null,"mode":"mxfp8"})", "mlx_mxfp8"},
  };
  for (const auto& [block, name] : modes) {
    SCOPED_TRACE(name);
    const Format& format = *find_format(name);
    TinyCheckpoint model = tiny_mlx(block);
    const auto blocks = some_blocks(format, 32, kHidden);
    add_quantized(model, kV, format, {32, kHidden}, blocks);
    const ModelSource opened = model.open();
    EXPECT_EQ(opened.find("blk.0.attn_v.weight")->format, format.id);
    EXPECT_EQ(values(opened, "blk.0.attn_v.weight"), decoded(format, blocks));
    EXPECT_EQ(opened.container(), "safetensors of MLX");
    EXPECT_EQ(opened.find("blk.0.ffn_up.weight")->format, FormatId::bf16) << "has no scales: is not quantized";
  }
}

TEST(MlxCodes, AModulesOwnModeCountsAndIsAffineUnlessItSaysOtherwise) {
  TinyCheckpoint model = tiny_mlx(R"({"group_size":32,"bits":4,"mode":"mxfp4","model.layers.0.self_attn.v_proj":
    {"group_size":32,"bits":6},"model.layers.0.self_attn.q_proj":true,"model.layers.0.mlp.up_proj":false})");
  const Format &six = *find_format("mlx_q6_g32"), &four = *find_format("mlx_mxfp4");
  add_quantized(model, kV, six, {32, kHidden}, some_blocks(six, 32, kHidden));
  add_quantized(model, kQ, four, {kHidden, kHidden}, some_blocks(four, kHidden, kHidden));
  const ModelSource opened = model.open();
  EXPECT_EQ(opened.find("blk.0.attn_v.weight")->format, FormatId::mlx_q6_g32);
  EXPECT_EQ(opened.find("blk.0.attn_q.weight")->format, FormatId::mlx_mxfp4);
}

TEST(MlxCodes, RowsArePermutedWithoutDecoding) {
  const Format& format = *find_format("mlx_q4_g64");
  TinyCheckpoint model = tiny_mlx(R"({"group_size":64,"bits":4})");
  const auto blocks = some_blocks(format, kHidden, kHidden);
  add_quantized(model, kQ, format, {kHidden, kHidden}, blocks);
  const ModelSource opened = model.open();
  const std::vector<float> stored = decoded(format, blocks), q = values(opened, "blk.0.attn_q.weight");
  EXPECT_EQ(opened.find("blk.0.attn_q.weight")->format, format.id);
  const int64_t from[] = {0, 16, 1, 17, 2};  // halves of a head of 32 become pairs
  for (int64_t r = 0; r < 5; ++r)
    for (int64_t c = 0; c < kHidden; ++c)
      ASSERT_EQ(q[static_cast<size_t>(r * kHidden + c)], stored[static_cast<size_t>(from[r] * kHidden + c)]) << r;
}

TEST(MlxCodes, ScalesInF32GiveF32Weights) {
  TinyCheckpoint model = tiny_mlx(R"({"group_size":64,"bits":3})");
  std::string codes;
  for (int i = 0; i < 32 * kHidden * 3 / 8; ++i) codes += static_cast<char>(i * 37);
  model.add_bytes(kV + ".weight", {32, kHidden * 3 / 32}, Dtype::u32, codes);
  model.add_values(kV + ".scales", {32, 1}, std::vector<float>(32, 0.1f));
  model.add_values(kV + ".biases", {32, 1}, std::vector<float>(32, -0.3f));
  const ModelSource opened = model.open();
  const std::vector<float> v = values(opened, "blk.0.attn_v.weight");
  EXPECT_EQ(opened.find("blk.0.attn_v.weight")->format, FormatId::f32);
  const auto* bytes = reinterpret_cast<const unsigned char*>(codes.data());
  const unsigned third = (bytes[0] >> 6 | bytes[1] << 2) & 7;  // its bits lie in two bytes
  EXPECT_EQ(v[0], static_cast<float>(bytes[0] & 7) * 0.1f + -0.3f);
  EXPECT_EQ(v[2], static_cast<float>(third) * 0.1f + -0.3f);
}

void expect_refusal(const TinyCheckpoint& model, const std::string& part) {
  const std::string message = model.refusal();
  EXPECT_NE(message.find(part), std::string::npos) << "'" << message << "', wanted '" << part << "'";
}

TEST(MlxCodes, ContradictionsAreRefused) {
  const Format& format = *find_format("mlx_q4_g64");
  TinyCheckpoint model = tiny_mlx(R"({"group_size":64,"bits":4})");
  add_quantized(model, kV, format, {32, kHidden}, some_blocks(format, 32, kHidden));
  EXPECT_EQ(model.refusal(), "");
  expect_refusal(TinyCheckpoint{model}.remove(kV + ".biases"), "has no biases");
  expect_refusal(TinyCheckpoint{model}.remove(kV + ".scales"), "biases\" has no place");
  expect_refusal(TinyCheckpoint{model}.remove(kV + ".scales").remove(kV + ".biases"), "no weights by themselves");
  expect_refusal(TinyCheckpoint{model}.add(kV + ".scales", {32, 2}), "biases of another type or shape");
  expect_refusal(TinyCheckpoint{model}.add(kV + ".scales", {16, 1}).add(kV + ".biases", {16, 1}), "are not of 4 bits");
  expect_refusal(TinyCheckpoint{model}.add(kV + ".global_scale", {1}, Dtype::f32), "global scale");
  expect_refusal(TinyCheckpoint{model}.add("model.layers.0.mlp.up_proj.scales", {64, 1}), "holds BF16, not U32");
  TinyCheckpoint other = tiny_mlx(R"({"group_size":64,"bits":8})");
  add_quantized(other, kV, format, {32, kHidden}, some_blocks(format, 32, kHidden));
  expect_refusal(other, "are not of 8 bits");
  TinyCheckpoint wide = tiny_mlx(R"({"mode":"mxfp4","bits":8})");
  wide.add_bytes(kV + ".weight", {32, 16}, Dtype::u32, std::string(32 * 64, '\1'));
  expect_refusal(wide.add_bytes(kV + ".scales", {32, 2}, Dtype::u8, std::string(64, '\x7f')), "which does not exist");
  expect_refusal(tiny_mlx(R"({"mode":"sym8","bits":8})"), "\"sym8\"");
  expect_refusal(tiny_mlx(R"({"bits":"four"})"), "as bits, not a whole number");
}

// --- golden values --------------------------------------------------------------------------------------------------

std::string bytes_of_hex(const std::string& hex, bool words) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  if (words)
    for (size_t i = 0; i + 1 < bytes.size(); i += 2) std::swap(bytes[i], bytes[i + 1]);
  return bytes;
}

std::string fnv_text(std::span<const float> row) {
  uint64_t hash = 1469598103934665603u;
  for (const std::byte b : std::as_bytes(row)) hash = (hash ^ std::to_integer<uint64_t>(b)) * 1099511628211u;
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(hash));
  return text;
}

/// What real MLX stored of one group of 32 weights, and the hash of the values that it decodes them to.
struct Group {
  std::string block, codes, scales, biases, hash;
  bool is_affine = false;
  int64_t bits = 4, group = 32;
};

std::vector<Group> groups_of(std::istream& file) {
  std::vector<Group> groups;
  for (std::string line; std::getline(file, line);) {
    std::istringstream in{line};
    std::vector<std::string> words;
    for (std::string word; in >> word;) words.push_back(word);
    if (line.starts_with("#") || line.find('=') != line.npos) continue;
    Group g;
    g.is_affine = words[0] == "affine";
    const size_t at = g.is_affine ? 3 : 1;
    if (g.is_affine) g.bits = std::stoi(words[1]);
    if (words[0] == "mxfp8") g.bits = 8;
    if (words[0] == "nvfp4") g.group = 16;
    g.block = str(R"({"group_size":)", g.group, R"(,"bits":)", g.bits, R"(,"mode":")", words[0], "\"}");
    g.codes = bytes_of_hex(words[at + 1], false);
    g.scales = bytes_of_hex(words[at + 2], g.is_affine);
    if (g.is_affine) g.biases = bytes_of_hex(words[at + 3], true);
    g.hash = words.back();
    groups.push_back(g);
  }
  return groups;
}

TEST(MlxCodes, RealGroupsAreReadToTheBit) {
  std::ifstream file{test::data_folder() / "mlx" / "real.txt"};
  const std::vector<Group> groups = groups_of(file);
  ASSERT_GT(groups.size(), 200u);
  for (const Group& g : groups) {
    TinyCheckpoint model = tiny_mlx(g.block, 32);
    const int64_t scales = 32 / g.group;
    const std::string embedding = "model.embed_tokens";
    model.add_bytes(embedding + ".weight", {1, g.bits}, Dtype::u32, g.codes);
    model.add_bytes(embedding + ".scales", {1, scales}, g.is_affine ? Dtype::bf16 : Dtype::u8, g.scales);
    if (g.is_affine) model.add_bytes(embedding + ".biases", {1, scales}, Dtype::bf16, g.biases);
    EXPECT_EQ(fnv_text(values(model.open(), "token_embd.weight")), g.hash) << g.block;
  }
}

// --- names and layouts of its own -----------------------------------------------------------------------------------

TEST(MlxNames, StackedExpertsAreOneTensor) {
  TinyCheckpoint model{R"({"architectures":["Qwen3MoeForCausalLM"],"model_type":"qwen3_moe","vocab_size":10,
    "hidden_size":64,"intermediate_size":64,"moe_intermediate_size":32,"num_hidden_layers":1,"num_attention_heads":2,
    "num_key_value_heads":1,"head_dim":32,"num_experts":3,"num_experts_per_tok":1,"norm_topk_prob":true,
    "quantization":{"group_size":32,"bits":4,"mode":"mxfp4","model.layers.0.mlp.gate":{"group_size":64,"bits":8}}})"};
  const std::string layer = "model.layers.0.", experts = layer + "mlp.switch_mlp.";
  model.add("model.embed_tokens.weight", {10, 64}).add("model.norm.weight", {64}).add("lm_head.weight", {10, 64});
  model.add(layer + "input_layernorm.weight", {64}).add(layer + "post_attention_layernorm.weight", {64});
  model.add(layer + "self_attn.q_proj.weight", {64, 64}).add(layer + "self_attn.o_proj.weight", {64, 64});
  model.add(layer + "self_attn.k_proj.weight", {32, 64}).add(layer + "self_attn.v_proj.weight", {32, 64});
  model.add(layer + "self_attn.q_norm.weight", {32}).add(layer + "self_attn.k_norm.weight", {32});
  const Format &four = *find_format("mlx_mxfp4"), &eight = *find_format("mlx_q8_g64");
  const auto gates = some_blocks(four, 3 * 32, 64), downs = some_blocks(four, 3 * 64, 32);
  const auto routers = some_blocks(eight, 3, 64);
  add_quantized(model, experts + "gate_proj", four, {3, 32, 64}, gates);
  add_quantized(model, experts + "up_proj", four, {3, 32, 64}, gates);
  add_quantized(model, experts + "down_proj", four, {3, 64, 32}, downs);
  add_quantized(model, layer + "mlp.gate", eight, {3, 64}, routers);
  const ModelSource opened = model.open();
  const Tensor& down = *opened.find("blk.0.ffn_down_exps.weight");
  EXPECT_EQ(down.experts(), 3);
  EXPECT_EQ(down.format, FormatId::mlx_mxfp4);
  EXPECT_EQ(values(opened, "blk.0.ffn_down_exps.weight"), decoded(four, downs));
  EXPECT_EQ(opened.find("blk.0.ffn_gate_inp.weight")->format, FormatId::f32) << "as every router is";
  EXPECT_EQ(values(opened, "blk.0.ffn_gate_inp.weight"), decoded(eight, routers));
}

}  // namespace
}  // namespace snug::hf
