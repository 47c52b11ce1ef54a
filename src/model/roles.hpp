#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "snug/model.hpp"

namespace snug {

/// What a tensor does in a transformer, read off its GGUF name.
enum class Role {
  token_embd,
  output,
  attn_q,
  attn_k,
  attn_v,
  attn_qkv,
  attn_output,
  attn_other,
  ffn_gate,
  ffn_up,
  ffn_down,
  ffn_gate_exps,
  ffn_up_exps,
  ffn_down_exps,
  ffn_shexp,
  router,
  norm,
  ssm,
  other,
};

Role role_of(std::string_view tensor_name);
std::string_view role_name(Role role);

/// The n of "blk.n.", or -1.
int layer_of(std::string_view tensor_name);

/// Whether llama-quantize would quantize it at all (§7.1 of the format reference): at least 2-D, ends in
/// "weight", none of the names kept.
bool is_quantizable(const Tensor& tensor);

/// What presets and priors ask of a model; 0 where the file does not say. Where a number differs from layer
/// to layer it is the first layer's, as llama-quantize's rules read it.
struct ModelShape {
  std::string architecture, name;
  int64_t layers = 0, embedding = 0, heads = 0, heads_kv = 0, experts = 0, experts_used = 0, context = 0;
  int64_t draft_layers =
      0;  // of `layers`, the last: blocks that draft tokens (MTP) and are no part of a plain run
  bool tied_output = false;  // no output.weight: token_embd is the head too

  bool drafts(int layer) const { return layer >= layers - draft_layers && layer < layers; }
};
ModelShape shape_of(const ModelSource& model);

}  // namespace snug
