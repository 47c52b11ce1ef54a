// glm4moe: GLM-4.5, 4.6, Air; partial RoPE, sigmoid routing with a selection bias, shared expert (§2.13).
#include "infer/arch/all.hpp"
#include "infer/layers/decoder.hpp"

namespace snug::infer {
namespace {

class Glm4Moe : public Decoder {
 public:
  explicit Glm4Moe(const ArchitectureInputs& source) : Decoder{source, Head::optional} {
    const Hparams& hp = source.hp;
    rope_ = make_rope(hp.rope, RopeKind::neox);
    if (hp.rope.sections.size() > 1 && hp.rope.sections[0] > 0 && hp.rope.sections[1] > 0)
      rope_.still = still_pairs(hp.rope, false);
    for (int64_t l = 0; l < hp.layers; ++l) blocks_.push_back(load_block(source, l));
  }

 private:
  DecoderBlock load_block(const ArchitectureInputs& source, int64_t l) const {
    const Hparams& hp = source.hp;
    DecoderBlock block{load_norm(source, l, "attn_norm"),
                       load_norm(source, l, "post_attention_norm"),
                       Attention{source.loader, l, generic_attention(hp, l, rope_)},
                       {}};
    block.attention.load_head_norms(source.loader, false);
    if (l < hp.leading_dense) {
      block.ffn = dense_ffn(source, l);
      return block;
    }
    Routing routing = make_routing(source.keys, hp, Routing::Gating::sigmoid);
    routing.selection = source.loader.vector(in_block(l, "exp_probs_b.bias"), hp.experts);
    block.ffn.experts = load_experts(source.loader, l, hp.embedding, hp.expert_ffn, routing);
    load_shared_expert(block.ffn, source.loader, l, hp.embedding, hp.expert_ffn * hp.shared_experts, false);
    return block;
  }
};

}  // namespace

std::unique_ptr<Architecture> make_glm4_moe(const ArchitectureInputs& source) {
  return std::make_unique<Glm4Moe>(source);
}

}  // namespace snug::infer
