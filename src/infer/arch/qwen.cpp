// qwen2 (biases on q, k, v) and qwen3 (norms of q and k), dense, and the text models of their VL kinds, whose rotary
// sections are one for text (§2.2, §2.6 of the reference).
#include "infer/arch/all.hpp"
#include "infer/layers/decoder.hpp"

namespace snug::infer {
namespace {

class Qwen : public Decoder {
 public:
  explicit Qwen(const ArchitectureInputs& source) : Decoder{source, Head::optional} {
    const bool head_norms = source.hp.architecture.starts_with("qwen3");
    rope_ = make_rope(source.hp.rope, RopeKind::neox);
    source.loader.skip("cls.output.");  // what a reranker has besides
    for (int64_t l = 0; l < source.hp.layers; ++l) {
      DecoderBlock block{load_norm(source, l, "attn_norm"), load_norm(source, l, "ffn_norm"),
                         Attention{source.loader, l, generic_attention(source.hp, l, rope_)},
                         dense_ffn(source, l)};
      if (head_norms) block.attention.load_head_norms(source.loader, true);
      blocks_.push_back(std::move(block));
    }
  }
};

}  // namespace

std::unique_ptr<Architecture> make_qwen(const ArchitectureInputs& source) {
  return std::make_unique<Qwen>(source);
}

}  // namespace snug::infer
