// gpt-oss: experts with gate and up rows in turn, as MXFP4 blocks or unquantized.
#include <cstring>

#include "base/json_reader.hpp"
#include "base/str.hpp"
#include "hf/family.hpp"
#include "hf/layer_types.hpp"
#include "hf/rows.hpp"

namespace snug::hf {
namespace {

constexpr int64_t kBlock = 32, kBlockCodes = 16, kBlockBytes = 17;

/// A block's codes, stored in pairs of neighbours, as pairs of an element and the one 16 behind it.
void rearrange(const std::byte* pairs, std::byte* out) {
  uint8_t codes[kBlock];
  for (int64_t i = 0; i < kBlockCodes; ++i) {
    const auto pair = static_cast<uint8_t>(pairs[i]);
    codes[2 * i] = pair & 15;
    codes[2 * i + 1] = pair >> 4;
  }
  for (int64_t i = 0; i < kBlockCodes; ++i) out[i] = static_cast<std::byte>(codes[i] | codes[i + kBlockCodes] << 4);
}

/// The blocks and scales of one name, [experts, rows, blocks of a row, 16] and [experts, rows, blocks of a row].
Tensor mxfp4(const Piece& piece) {
  piece.need_shape({0, 0, 0, kBlockCodes});
  const safetensors::Tensor& codes = *piece.source.raw;
  const std::string& name = piece.source.name;
  const std::string base = name.substr(0, name.size() - std::string_view{"_blocks"}.size());
  const Source* scales = piece.checkpoint.sources.find(base + "_scales");
  const std::vector<int64_t> wanted(codes.shape.begin(), codes.shape.end() - 1);
  if (!scales || scales->raw->dtype != safetensors::Dtype::u8 || scales->raw->shape != wanted ||
      codes.dtype != safetensors::Dtype::u8)
    piece.source.refuse(str("the blocks ", quoted(codes.name), " have no scales that fit"));
  const int64_t blocks = wanted[2];
  const int64_t shape[] = {wanted[0], wanted[1], blocks * kBlock};
  const std::byte* pairs = codes.bytes.data();
  const std::byte* powers = scales->raw->bytes.data();
  return tensor_made(FormatId::mxfp4, shape, codes.file, [=](int64_t row, std::span<std::byte> out) {
    for (int64_t b = 0; b < blocks; ++b) {
      out[static_cast<size_t>(b * kBlockBytes)] = powers[row * blocks + b];
      rearrange(pairs + (row * blocks + b) * kBlockCodes, out.data() + b * kBlockBytes + 1);
    }
  });
}

/// Every other row of every expert's matrix, from `first` on.
Tensor every_other_row(const Tensor& from, int64_t first) {
  std::vector<int64_t> rows;
  for (int64_t row = first; row < from.rows(); row += 2) rows.push_back(row);
  return reshaped(selected(from, 1, std::move(rows)), {from.cols(), from.shape[1] / 2, from.shape[2]});
}

void add_gate_and_up(const Piece& piece, const Tensor& both, Output& out) {
  if (both.shape[1] % 2 != 0) piece.source.refuse(str("the tensor ", quoted(piece.source.name), " has an odd number of rows"));
  out.add(piece.name(0), every_other_row(both, 0));
  out.add(piece.name(1), every_other_row(both, 1));
}

void add_packed_gate_up(const Piece& piece, Output& out) { add_gate_and_up(piece, mxfp4(piece), out); }
void add_packed_down(const Piece& piece, Output& out) { out.add(piece.name(), mxfp4(piece)); }

/// Unquantized experts lie input by input.
void add_plain_gate_up(const Piece& piece, Output& out) {
  piece.need_shape({0, 0, 0});
  add_gate_and_up(piece, transposed(piece.weights()), out);
}

void add_plain_down(const Piece& piece, Output& out) {
  piece.need_shape({0, 0, 0});
  out.add(piece.name(), transposed(piece.weights()));
}

void add_gate_up_bias(const Piece& piece, Output& out) {
  piece.need_shape({0, 0});
  const Tensor& both = piece.weights();
  for (const size_t half : {size_t{0}, size_t{1}}) {
    std::vector<int64_t> columns;
    for (auto c = static_cast<int64_t>(half); c < both.cols(); c += 2) columns.push_back(c);
    out.add(piece.name(half), selected_columns(both, std::move(columns)));
  }
}

constexpr Rule kRules[] = {
    {"post_attention_layernorm", "post_attention_norm"},
    {"self_attn.sinks", "attn_sinks.weight"},
    {"mlp.router", "ffn_gate_inp"},
    {"mlp.experts.gate_up_proj_blocks", "ffn_gate_exps.weight ffn_up_exps.weight", add_packed_gate_up},
    {"mlp.experts.gate_up_proj_scales", "", leave_out},
    {"mlp.experts.down_proj_blocks", "ffn_down_exps.weight", add_packed_down},
    {"mlp.experts.down_proj_scales", "", leave_out},
    {"mlp.experts.gate_proj", "ffn_gate_exps"},  // this and the next three are MLX's, output by output
    {"mlp.experts.up_proj", "ffn_up_exps"},
    {"mlp.experts.down_proj.weight", "ffn_down_exps.weight"},
    {"mlp.experts.down_proj.bias", "ffn_down_exps.bias"},
    {"mlp.experts.gate_up_proj", "ffn_gate_exps.weight ffn_up_exps.weight", add_plain_gate_up},
    {"mlp.experts.down_proj", "ffn_down_exps.weight", add_plain_down},
    {"mlp.experts.gate_up_proj_bias", "ffn_gate_exps.bias ffn_up_exps.bias", add_gate_up_bias},
    {"mlp.experts.down_proj_bias", "ffn_down_exps.bias"},
};

/// Loaders take the numbers of the experts' activation for granted.
void check_activation(const Config& config) {
  if (config.real({"swiglu_alpha"}).value_or(1.702) != 1.702 || config.real({"swiglu_limit"}).value_or(7) != 7)
    config.cannot_be_said("the experts' activation has other numbers (swiglu_alpha, swiglu_limit) than GGUF can say");
}

void gpt_oss_keys(const Checkpoint& checkpoint, int64_t blocks, Keys& keys) {
  const Config& config = checkpoint.config;
  check_activation(config);
  add_common_keys(config, blocks, keys);
  keys.number("attention.sliding_window", config.need_integer({"sliding_window"}));
  add_window_period(config, 2, 2, keys);
  keys.number("expert_feed_forward_length", config.integer({"intermediate_size"}));
}

}  // namespace

const Family kGptOss{
    .architecture = "gpt-oss",
    .rules = {kRules, kAttentionRules},
    .keys = gpt_oss_keys,
    .needs_head = true,
    .needed = "attn_norm attn_q attn_k attn_v attn_output attn_sinks post_attention_norm ffn_gate_inp ffn_gate_exps "
              "ffn_up_exps ffn_down_exps",
};

}  // namespace snug::hf
