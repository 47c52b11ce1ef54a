// qwen2moe (weights not normalised, gated shared expert) and qwen3moe (§2.3, §2.8 of the reference).
#include "infer/arch/all.hpp"
#include "infer/layers/decoder.hpp"

namespace snug::infer {
namespace {

class QwenMoe : public Decoder {
 public:
  explicit QwenMoe(const ArchitectureInputs& source)
      : Decoder{source, source.hp.architecture == "qwen2moe" ? Head::required : Head::optional},
        third_{source.hp.architecture.starts_with("qwen3")} {
    if (source.hp.experts == 0) source.keys.fail("expert_count", "is missing or 0");
    rope_ = make_rope(source.hp.rope, RopeKind::neox);
    for (int64_t l = 0; l < source.hp.layers; ++l) blocks_.push_back(load_block(source, l));
  }

 private:
  DecoderBlock load_block(const ArchitectureInputs& source, int64_t l) const {
    const Hparams& hp = source.hp;
    const int64_t ffn = hp.ffn[static_cast<size_t>(l)];
    DecoderBlock block{load_norm(source, l, "attn_norm"),
                       load_norm(source, l, "ffn_norm"),
                       Attention{source.loader, l, generic_attention(hp, l, rope_)},
                       {}};
    if (third_) block.attention.load_head_norms(source.loader, true);
    const Routing routing{.experts = hp.experts, .used = hp.experts_used, .normalise = third_};
    const int64_t width = hp.expert_ffn ? hp.expert_ffn : ffn / hp.experts_used;
    block.ffn.experts = load_experts(source.loader, l, hp.embedding, width, routing);
    if (!third_)
      load_shared_expert(block.ffn, source.loader, l, hp.embedding, hp.shared_ffn ? hp.shared_ffn : ffn,
                         true);
    return block;
  }

  bool third_;
};

}  // namespace

std::unique_ptr<Architecture> make_qwen_moe(const ArchitectureInputs& source) {
  return std::make_unique<QwenMoe>(source);
}

}  // namespace snug::infer
