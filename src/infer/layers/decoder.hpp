#pragma once

#include <vector>

#include "infer/architecture.hpp"
#include "infer/layers/feed_forward.hpp"

namespace snug::infer {

/// The block most architectures share:  x += attention(norm(x));  x += feed_forward(norm(x)).
struct DecoderBlock {
  std::vector<float> attn_norm, ffn_norm;
  Attention attention;
  FeedForward ffn;
};

/// An architecture made of such blocks; a subclass's constructor fills them in.
class Decoder : public Architecture {
 public:
  void layer(Batch& step, int layer, Activations& x) const override;
  LayerCacheShape memory(int layer) const override {
    return blocks_[static_cast<size_t>(layer)].attention.memory();
  }
  bool reverses(int) const override { return true; }
  void reverse_layer(Reverse& reverse, int layer, const Activations& x, Activations& g) const override;

 protected:
  Decoder(const ArchitectureInputs& source, Head head) : Architecture{source, head}, rms_eps_{source.hp.rms_eps} {}

  std::vector<DecoderBlock> blocks_;
  Rope rope_;

 private:
  float rms_eps_;
};

/// A dense network of the block's feed_forward_length.
FeedForward dense_ffn(const ArchitectureInputs& source, int64_t layer, Activation activation = Activation::silu);

}  // namespace snug::infer
