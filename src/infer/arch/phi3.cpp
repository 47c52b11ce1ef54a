// phi3: Phi-3, Phi-3.5, Phi-4; fused qkv, gate and up in one matrix, LongRoPE (§2.10 of the reference).
#include "infer/arch/all.hpp"
#include "infer/layers/decoder.hpp"

namespace snug::infer {
namespace {

class Phi3 : public Decoder {
 public:
  explicit Phi3(const ArchitectureInputs& source) : Decoder{source, Head::optional} {
    const Hparams& hp = source.hp;
    rope_ = make_rope(hp.rope, RopeKind::neox);
    rope_.factors_long = source.loader.vector_if("rope_factors_long.weight", rope_.dims / 2);
    rope_.factors = source.loader.vector_if("rope_factors_short.weight", rope_.dims / 2);
    for (int64_t l = 0; l < hp.layers; ++l) {
      AttentionShape shape = generic_attention(hp, l, rope_);
      shape.scale_queries = true;
      DecoderBlock block{load_norm(source, l, "attn_norm"),
                         load_norm(source, l, "ffn_norm"),
                         Attention{source.loader, l, shape},
                         {}};
      const int64_t width = hp.ffn[static_cast<size_t>(l)];
      block.ffn.dense.up = source.loader.linear(in_block(l, "ffn_up"), hp.embedding, 2 * width);
      block.ffn.dense.down = source.loader.linear(in_block(l, "ffn_down"), width, hp.embedding);
      blocks_.push_back(std::move(block));
    }
  }
};

}  // namespace

std::unique_ptr<Architecture> make_phi3(const ArchitectureInputs& source) {
  return std::make_unique<Phi3>(source);
}

}  // namespace snug::infer
