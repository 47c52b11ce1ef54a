// gpt-oss: attention sinks, alternating windows, experts with biases and the clamped activation (§2.11).
#include "infer/arch/all.hpp"
#include "infer/layers/decoder.hpp"

namespace snug::infer {
namespace {

class GptOss : public Decoder {
 public:
  explicit GptOss(const ArchitectureInputs& source) : Decoder{source, Head::required} {
    const Hparams& hp = source.hp;
    if (hp.experts == 0) source.keys.fail("expert_count", "is missing or 0");
    rope_ = sliding_rope_ = make_rope(hp.rope, RopeKind::neox);
    if (hp.rope.base_swa > 0) sliding_rope_.base = hp.rope.base_swa;
    sliding_rope_.frequency_scale = hp.rope.frequency_scale_sliding();
    const int64_t window = source.keys.need_integer("attention.sliding_window");
    const int64_t width = source.keys.need_integer("expert_feed_forward_length");
    const Routing routing{
        .gating = Routing::Gating::softmax_of_chosen, .experts = hp.experts, .used = hp.experts_used};
    for (int64_t l = 0; l < hp.layers; ++l) {
      const bool sliding = is_sliding(source.keys, hp.blocks, l, 2);
      AttentionShape shape = generic_attention(hp, l, sliding ? sliding_rope_ : rope_);
      shape.window = sliding ? window : 0;
      DecoderBlock block{load_norm(source, l, "attn_norm"),
                         load_norm(source, l, "post_attention_norm"),
                         Attention{source.loader, l, shape},
                         {}};
      block.attention.load_sinks(source.loader);
      block.ffn.experts = load_experts(source.loader, l, hp.embedding, width, routing, Activation::oai);
      blocks_.push_back(std::move(block));
    }
  }

 private:
  Rope sliding_rope_;
};

}  // namespace

std::unique_ptr<Architecture> make_gpt_oss(const ArchitectureInputs& source) {
  return std::make_unique<GptOss>(source);
}

}  // namespace snug::infer
