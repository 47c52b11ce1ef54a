#include "hf/family.hpp"

#include <algorithm>

#include "base/json_reader.hpp"
#include "base/str.hpp"
#include "hf/rows.hpp"
#include "snug/error.hpp"

namespace snug::hf {
namespace {

constexpr Rule kGlobal[] = {
    {"embed_tokens", "token_embd"},
    {"norm", "output_norm"},
    {"lm_head", "output"},
};

constexpr Rule kAttention[] = {
    {"input_layernorm", "attn_norm"},
    {"self_attn.q_proj", "attn_q"},
    {"self_attn.k_proj", "attn_k"},
    {"self_attn.v_proj", "attn_v"},
    {"self_attn.o_proj", "attn_output"},
    {"self_attn.q_norm", "attn_q_norm"},
    {"self_attn.k_norm", "attn_k_norm"},
};

constexpr Rule kPostAttention[] = {{"post_attention_layernorm", "ffn_norm"}};

constexpr Rule kDense[] = {
    {"mlp.gate_proj", "ffn_gate"},
    {"mlp.up_proj", "ffn_up"},
    {"mlp.down_proj", "ffn_down"},
};

/// [N, 2X, E], gates first.
void add_gates_and_ups(const Piece& piece, Output& out) {
  piece.need_shape({0, 0, 0});
  add_halves(piece, piece.weights(), out);
}

/// Experts by themselves or stacked, and the one that every token goes through.
constexpr Rule kExperts[] = {
    {"mlp.gate", "ffn_gate_inp"},
    {"mlp.experts.#.gate_proj", "ffn_gate_exps", add_expert},
    {"mlp.experts.#.up_proj", "ffn_up_exps", add_expert},
    {"mlp.experts.#.down_proj", "ffn_down_exps", add_expert},
    {"mlp.experts.gate_up_proj", "ffn_gate_exps.weight ffn_up_exps.weight", add_gates_and_ups},
    {"mlp.experts.down_proj", "ffn_down_exps.weight"},
    {"mlp.switch_mlp.gate_proj", "ffn_gate_exps"},
    {"mlp.switch_mlp.up_proj", "ffn_up_exps"},
    {"mlp.switch_mlp.down_proj", "ffn_down_exps"},
    {"mlp.shared_expert.gate_proj", "ffn_gate_shexp"},
    {"mlp.shared_expert.up_proj", "ffn_up_shexp"},
    {"mlp.shared_expert.down_proj", "ffn_down_shexp"},
    {"mlp.shared_expert_gate", "ffn_gate_inp_shexp"},
    {"mlp.shared_experts.gate_proj", "ffn_gate_shexp"},
    {"mlp.shared_experts.up_proj", "ffn_up_shexp"},
    {"mlp.shared_experts.down_proj", "ffn_down_shexp"},
};

struct Class {
  std::string_view name;
  const Family* family;
};

const Class kClasses[] = {
    {"LlamaForCausalLM", &kLlama},
    {"LLaMAForCausalLM", &kLlama},
    {"LlamaModel", &kLlama},
    {"MistralForCausalLM", &kLlama},
    {"MistralModel", &kLlama},
    {"MixtralForCausalLM", &kLlama},
    {"VLlama3ForCausalLM", &kLlama},
    {"LlavaForConditionalGeneration", &kLlama},
    {"Mistral3ForConditionalGeneration", &kMistral3},
    {"Ministral3ForCausalLM", &kMistral3},
    {"Qwen2ForCausalLM", &kQwen2},
    {"Qwen2Model", &kQwen2},
    {"Qwen2MoeForCausalLM", &kQwen2Moe},
    {"Qwen3ForCausalLM", &kQwen3},
    {"Qwen3Model", &kQwen3},
    {"Qwen3MoeForCausalLM", &kQwen3Moe},
    {"Qwen3NextForCausalLM", &kQwen3Next},
    {"Qwen3_5ForConditionalGeneration", &kQwen35},
    {"Qwen3_5ForCausalLM", &kQwen35},
    {"Qwen3_5MoeForConditionalGeneration", &kQwen35Moe},
    {"Qwen3_5MoeForCausalLM", &kQwen35Moe},
    {"Qwen2VLForConditionalGeneration", &kQwen2Vl},
    {"Qwen2_5_VLForConditionalGeneration", &kQwen2Vl},
    {"Qwen3VLForConditionalGeneration", &kQwen3Vl},
    {"Qwen3VLMoeForConditionalGeneration", &kQwen3VlMoe},
    {"Gemma2ForCausalLM", &kGemma2},
    {"Gemma3ForCausalLM", &kGemma3},
    {"Gemma3ForConditionalGeneration", &kGemma3},
    {"Gemma4ForCausalLM", &kGemma4},
    {"Gemma4ForConditionalGeneration", &kGemma4},
    {"Gemma4UnifiedForConditionalGeneration", &kGemma4},
    {"Phi3ForCausalLM", &kPhi3},
    {"GptOssForCausalLM", &kGptOss},
    {"Glm4MoeForCausalLM", &kGlm4Moe},
    {"Glm4vMoeForConditionalGeneration", &kGlm4Moe},
    {"DeepseekV2ForCausalLM", &kDeepseek2},
    {"DeepseekV3ForCausalLM", &kDeepseek2},
    {"KimiVLForConditionalGeneration", &kDeepseek2},
};

/// Row-major, as the checkpoint has it; that of the weights where they were packed.
std::vector<int64_t> shape_of(const Source& source) {
  if (!source.weights || source.raw->shape.empty()) return source.raw->shape;
  const auto& shape = source.weights->shape;
  return {shape.rend() - source.weights->dims, shape.rend()};
}

std::string shape_text(std::span<const int64_t> shape) {
  std::string text = "[";
  for (const int64_t size : shape) text += str(text.size() > 1 ? ", " : "", size);
  return text + "]";
}

}  // namespace

const std::span<const Rule> kGlobalRules = kGlobal;
const std::span<const Rule> kAttentionRules = kAttention;
const std::span<const Rule> kPostAttentionIsFfnNorm = kPostAttention;
const std::span<const Rule> kDenseRules = kDense;
const std::span<const Rule> kExpertRules = kExperts;

const Family& family_of(const Config& config) {
  const auto found = std::ranges::find(kClasses, config.class_name(), &Class::name);
  if (found != std::end(kClasses)) return *found->family;
  std::string names;
  for (const Class& known : kClasses) names += str(names.empty() ? "" : ", ", known.name);
  config.refuse(str("a model of the class ", quoted(config.class_name()), ", whose tensors snug cannot name"),
                str("known are ", names, "; convert others to GGUF with llama.cpp's converter"));
}

std::string Piece::name(size_t i) const {
  std::string_view rest = to;
  for (; i > 0; --i) rest.remove_prefix(rest.find(' ') + 1);
  const std::string_view target = rest.substr(0, rest.find(' '));
  return block + std::string{target} + std::string{target.ends_with(suffix) ? "" : suffix};
}

void Piece::need_shape(std::initializer_list<int64_t> shape) const {
  const std::vector<int64_t> is = shape_of(source);
  bool fits = is.size() == shape.size();
  for (size_t d = 0; fits && d < is.size(); ++d) fits = shape.begin()[d] == 0 || is[d] == shape.begin()[d];
  if (!fits)
    throw Error{str("the tensor ", quoted(source.raw->name), " has the shape ", shape_text(is), ", not ",
                    shape_text({shape.begin(), shape.size()}), " (0: any)"),
                std::string{source.raw->file}, "config.json and the weights are not of the same checkpoint"};
}

bool stores_whole_norms(const Sources& sources) {
  for (const Source& source : sources.all()) {
    const std::vector<int64_t>& shape = source.raw->shape;
    if (source.name.ends_with("linear_attn.conv1d.weight") && shape.size() == 3)
      return shape[1] != 1 && shape[2] == 1;
  }
  return false;
}

void leave_out(const Piece&, Output&) {}

void add_expert(const Piece& piece, Output& out) { out.add_expert(piece.name(), piece.expert, piece.weights()); }

void add_halves(const Piece& piece, const Tensor& weights, Output& out) {
  const auto [first, second] = halves(weights);
  out.add(piece.name(0), first);
  out.add(piece.name(1), second);
}

Tensor paired_rows(const Piece& piece, int64_t heads, std::optional<int64_t> rotated) {
  const Tensor& from = piece.weights();
  const bool bias = from.dims == 1;
  const int64_t rows = bias ? from.cols() : from.rows(), dim = rows / heads, pairs = rotated.value_or(dim) / 2;
  if (rows % heads != 0 || rotated.value_or(dim) % 2 != 0 || 2 * pairs > dim)
    piece.source.refuse(str("the tensor ", quoted(piece.source.name), " has ", rows, " rows, which do not make ", heads,
                            " heads of an even size"));
  std::vector<int64_t> old;
  for (int64_t head = 0; head < heads; ++head) {
    const int64_t first = head * dim, behind = first + dim - 2 * pairs;
    for (int64_t row = first; row < behind; ++row) old.push_back(row);
    for (int64_t pair = behind; pair < behind + pairs; ++pair) old.insert(old.end(), {pair, pair + pairs});
  }
  return bias ? selected_columns(from, std::move(old)) : selected(from, 1, std::move(old));
}

}  // namespace snug::hf
