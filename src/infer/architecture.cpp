#include "infer/architecture.hpp"

#include <algorithm>
#include <cmath>

#include "base/str.hpp"
#include "infer/arch/all.hpp"
#include "infer/layers/ops.hpp"
#include "snug/error.hpp"

namespace snug::infer {
namespace {

struct Known {
  std::string_view name;
  std::unique_ptr<Architecture> (*make)(const ArchitectureInputs&);
};

constexpr Known kKnown[] = {
    {"llama", make_llama},         {"mistral3", make_llama},   {"qwen2", make_qwen},
    {"qwen2moe", make_qwen_moe},   {"qwen3", make_qwen},       {"qwen3moe", make_qwen_moe},
    {"qwen3next", make_qwen_next}, {"qwen35", make_qwen_next}, {"qwen35moe", make_qwen_next},
    {"gemma2", make_gemma},        {"gemma3", make_gemma},     {"gemma4", make_gemma4},
    {"phi3", make_phi3},           {"gpt-oss", make_gpt_oss},  {"glm4moe", make_glm4_moe},
    {"deepseek2", make_deepseek2}, {"qwen2vl", make_qwen},     {"qwen3vl", make_qwen},
    {"qwen3vlmoe", make_qwen_moe},
};

}  // namespace

Architecture::Architecture(const ArchitectureInputs& source, Head head) : rms_eps_{source.hp.rms_eps} {
  const int64_t e = source.hp.embedding, v = source.hp.vocab;
  embedding_ = {source.loader.matrix("token_embd.weight", e, v), {}, {}};
  norm_ = source.loader.vector("output_norm.weight", e);
  head_ =
      head == Head::required ? source.loader.linear("output", e, v) : source.loader.linear_if("output", e, v);
  if (head_) return;
  head_ = embedding_;
  head_.bias = source.loader.vector_if("output.bias", v);
}

Activations Architecture::embed(Batch& step) const {
  Activations x = look_up(step, *embedding_.weight);
  if (embedding_scale_ != 1) scale(x, embedding_scale_);
  return x;
}

Activations Architecture::head(const Batch& step, const Activations& x) const {
  Activations logits = apply(step, head_, rms_norm(x, norm_, rms_eps_));
  if (logit_cap_ > 0) soft_cap(logits, logit_cap_);
  return logits;
}

AttentionShape generic_attention(const Hparams& hp, int64_t layer, const Rope& rope) {
  AttentionShape shape;
  shape.embedding = hp.embedding;
  shape.heads = hp.heads[static_cast<size_t>(layer)];
  shape.kv_heads = hp.kv_heads[static_cast<size_t>(layer)];
  shape.head_dim = hp.key_dim;
  shape.scale = 1.0f / std::sqrt(static_cast<float>(hp.key_dim));
  shape.rope = &rope;
  shape.rms_eps = hp.rms_eps;
  return shape;
}

bool is_sliding(const ArchMetadata& keys, int64_t blocks, int64_t layer, int64_t default_period) {
  constexpr std::string_view kName = "attention.sliding_window_pattern";
  if (keys.is_array(kName)) return keys.per_block(kName, blocks, 0)[static_cast<size_t>(layer)] != 0;
  const int64_t period = keys.integer(kName, default_period);
  return period == 0 || layer % period < period - 1;
}

std::vector<float> load_norm(const ArchitectureInputs& source, int64_t layer, std::string_view base) {
  return source.loader.vector(in_block(layer, base) + ".weight", source.hp.embedding);
}

std::vector<std::string_view> known_architectures() {
  std::vector<std::string_view> names;
  for (const Known& known : kKnown) names.push_back(known.name);
  return names;
}

std::unique_ptr<Architecture> make_architecture(const ArchitectureInputs& source) {
  const auto found = std::ranges::find(kKnown, source.hp.architecture, &Known::name);
  if (found != std::end(kKnown)) return found->make(source);
  std::string names;
  for (const Known& known : kKnown) names += str(names.empty() ? "" : ", ", known.name);
  throw Error{str("the architecture '", source.hp.architecture, "' cannot be run; known are ", names),
              source.keys.source().path().string(),
              "measuring and fitting with a given imatrix work for it all the same"};
}

}  // namespace snug::infer
