// llama and mistral3: Llama 1 to 3, Mistral, Mixtral, SmolLM, TinyLlama; Ministral 3 (§2.1, §2.7 of the
// reference).
#include "infer/arch/all.hpp"
#include "infer/layers/decoder.hpp"

namespace snug::infer {
namespace {

class Llama : public Decoder {
 public:
  explicit Llama(const ArchitectureInputs& source) : Decoder{source, Head::optional} {
    const Hparams& hp = source.hp;
    if (hp.rope.dims != hp.key_dim)
      source.keys.fail("rope.dimension_count", "is not the head size, as this architecture needs");
    rope_ = make_rope(hp.rope, RopeKind::norm);
    load_factors(source);
    if (hp.architecture == "mistral3") {
      rope_.beta_fast = hp.rope.beta_fast;
      rope_.beta_slow = hp.rope.beta_slow;
      temperature_ = source.keys.real("attention.temperature_scale", 0);
    }
    for (int64_t l = 0; l < hp.layers; ++l) blocks_.push_back(load_block(source, l));
  }

 private:
  void load_factors(const ArchitectureInputs& source) {
    const int64_t pairs = rope_.dims / 2;
    if (source.hp.rope.scaling == "longrope") {
      rope_.factors_long = source.loader.vector_if("rope_factors_long.weight", pairs);
      rope_.factors = source.loader.vector_if("rope_factors_short.weight", pairs);
    } else {
      rope_.factors = source.loader.vector_if("rope_freqs.weight", pairs);
    }
  }

  DecoderBlock load_block(const ArchitectureInputs& source, int64_t l) const {
    const Hparams& hp = source.hp;
    AttentionShape shape = generic_attention(hp, l, rope_);
    shape.temperature = temperature_;
    shape.temperature_context = hp.rope.original_context;
    DecoderBlock block{load_norm(source, l, "attn_norm"),
                       load_norm(source, l, "ffn_norm"),
                       Attention{source.loader, l, shape},
                       {}};
    if (hp.experts == 0) {
      block.ffn = dense_ffn(source, l);
    } else {
      const Routing routing{.experts = hp.experts, .used = hp.experts_used, .normalise = true};
      block.ffn.experts =
          load_experts(source.loader, l, hp.embedding, hp.ffn[static_cast<size_t>(l)], routing);
    }
    return block;
  }

  float temperature_ = 0;
};

}  // namespace

std::unique_ptr<Architecture> make_llama(const ArchitectureInputs& source) {
  return std::make_unique<Llama>(source);
}

}  // namespace snug::infer
