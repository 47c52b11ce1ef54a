#include "infer/layers/decoder.hpp"
#include "infer/layers/ops.hpp"
#include "infer/reverse/ops.hpp"

namespace snug::infer {

void Decoder::reverse_layer(Reverse& reverse, int layer, const Activations& x, Activations& g) const {
  const DecoderBlock& block = blocks_[static_cast<size_t>(layer)];
  const Activations a = rms_norm(x, block.attn_norm, rms_eps_);
  const Attention::Trace trace = block.attention.retrace(reverse.step, a);
  Activations between = x;
  add(between, trace.result);
  const Activations by_ffn = block.ffn.reverse(reverse, rms_norm(between, block.ffn_norm, rms_eps_), g);
  add(g, reverse_rms_norm(between, block.ffn_norm, rms_eps_, by_ffn));
  const Activations by_attention = block.attention.reverse(reverse, a, trace, g);
  add(g, reverse_rms_norm(x, block.attn_norm, rms_eps_, by_attention));
}

}  // namespace snug::infer
