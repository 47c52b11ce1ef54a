#include "infer/layers/decoder.hpp"

#include "infer/layers/ops.hpp"

namespace snug::infer {

void Decoder::layer(Batch& step, int layer, Activations& x) const {
  const DecoderBlock& block = blocks_[static_cast<size_t>(layer)];
  add(x, block.attention(step, rms_norm(x, block.attn_norm, rms_eps_, step.compute)));
  add(x, block.ffn(step, rms_norm(x, block.ffn_norm, rms_eps_, step.compute)));
}

FeedForward dense_ffn(const ArchitectureInputs& source, int64_t layer, Activation activation) {
  FeedForward ffn;
  ffn.dense = GatedFfn{source.loader, layer, source.hp.embedding, source.hp.ffn[static_cast<size_t>(layer)],
                       activation};
  return ffn;
}

}  // namespace snug::infer
