// gemma2 and gemma3: scaled embeddings, norms after attention and feed-forward, windows (§2.4, §2.9).
#include <cmath>

#include "infer/arch/all.hpp"
#include "infer/layers/ffn.hpp"
#include "infer/layers/ops.hpp"
#include "infer/reverse/ops.hpp"

namespace snug::infer {
namespace {

struct Block {
  std::vector<float> attn_norm, post_attention_norm, ffn_norm, post_ffw_norm;
  Attention attention;
  GatedFfn ffn;
};

/// A checkpoint without a cap says one of 2^20, since loaders always cap; arithmetic in f32 loses by it what it is to keep.
float cap_that_counts(float cap) { return cap < 0x1p20F ? cap : 0; }

class Gemma : public Architecture {
 public:
  explicit Gemma(const ArchitectureInputs& source)
      : Architecture{source, Head::optional},
        third_{source.hp.architecture == "gemma3"},
        eps_{source.hp.rms_eps} {
    const Hparams& hp = source.hp;
    embedding_scale_ = std::sqrt(static_cast<float>(hp.embedding));
    logit_cap_ = cap_that_counts(source.keys.real("final_logit_softcapping", third_ ? 0.0f : 30.0f));
    load_ropes(hp);
    for (int64_t l = 0; l < hp.layers; ++l) blocks_.push_back(load_block(source, l));
  }

  void layer(Batch& step, int layer, Activations& x) const override {
    const Block& b = blocks_[static_cast<size_t>(layer)];
    add(x, rms_norm(b.attention(step, rms_norm(x, b.attn_norm, eps_)), b.post_attention_norm, eps_));
    add(x, rms_norm(b.ffn(step, rms_norm(x, b.ffn_norm, eps_)), b.post_ffw_norm, eps_));
  }

  LayerCacheShape memory(int layer) const override {
    return blocks_[static_cast<size_t>(layer)].attention.memory();
  }

  bool reverses(int) const override { return true; }
  void reverse_layer(Reverse& reverse, int layer, const Activations& x, Activations& g) const override {
    const Block& b = blocks_[static_cast<size_t>(layer)];
    const Activations a = rms_norm(x, b.attn_norm, eps_);
    const Attention::Trace trace = b.attention.retrace(reverse.step, a);
    Activations between = x;
    add(between, rms_norm(trace.result, b.post_attention_norm, eps_));
    const Activations f = rms_norm(between, b.ffn_norm, eps_);
    const Activations by_ffn =
        reverse_rms_norm(b.ffn(reverse.step, f), b.post_ffw_norm, eps_, g);
    add(g, reverse_rms_norm(between, b.ffn_norm, eps_, b.ffn.reverse(reverse, f, by_ffn)));
    const Activations by_attention = reverse_rms_norm(trace.result, b.post_attention_norm, eps_, g);
    add(g, reverse_rms_norm(x, b.attn_norm, eps_, b.attention.reverse(reverse, a, trace, by_attention)));
  }

 private:
  void load_ropes(const Hparams& hp) {
    rope_ = sliding_rope_ = make_rope(hp.rope, RopeKind::neox);
    if (hp.rope.base_swa > 0 || third_)
      sliding_rope_.base = hp.rope.base_swa > 0 ? hp.rope.base_swa : 10000.0f;
    sliding_rope_.frequency_scale = third_ ? 1 : hp.rope.frequency_scale_sliding();
  }

  /// 1/sqrt of the head size; the 27B models take the size a head would have if the heads filled the
  /// embedding.
  float query_scale(const Hparams& hp, int64_t l) const {
    const bool largest = hp.blocks == (third_ ? 62 : 46);
    const int64_t size = largest ? hp.embedding / hp.heads[static_cast<size_t>(l)] : hp.key_dim;
    return 1.0f / std::sqrt(static_cast<float>(size));
  }

  Block load_block(const ArchitectureInputs& source, int64_t l) const {
    const Hparams& hp = source.hp;
    const int64_t window = source.keys.integer("attention.sliding_window", third_ ? 0 : 4096);
    const bool sliding = window > 0 && is_sliding(source.keys, hp.blocks, l, third_ ? 6 : 2);
    AttentionShape shape = generic_attention(hp, l, sliding ? sliding_rope_ : rope_);
    shape.scale = query_scale(hp, l);
    shape.scale_queries = true;
    shape.window = sliding ? window : 0;
    if (!third_) shape.soft_cap = cap_that_counts(source.keys.real("attn_logit_softcapping", 50));
    Block block{load_norm(source, l, "attn_norm"),
                load_norm(source, l, "post_attention_norm"),
                load_norm(source, l, "ffn_norm"),
                load_norm(source, l, "post_ffw_norm"),
                Attention{source.loader, l, shape},
                GatedFfn{source.loader, l, hp.embedding, hp.ffn[static_cast<size_t>(l)], Activation::gelu}};
    if (third_) block.attention.load_head_norms(source.loader, true);
    return block;
  }

  bool third_;
  float eps_;
  Rope rope_, sliding_rope_;
  std::vector<Block> blocks_;
};

}  // namespace

std::unique_ptr<Architecture> make_gemma(const ArchitectureInputs& source) {
  return std::make_unique<Gemma>(source);
}

}  // namespace snug::infer
