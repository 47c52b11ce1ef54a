#include "hf/unsayable.hpp"

#include <algorithm>

#include "base/json_reader.hpp"
#include "base/str.hpp"
#include "hf/rope.hpp"

namespace snug::hf {
namespace {

bool is_gemma(std::string_view architecture) { return architecture.starts_with("gemma"); }

/// Loaders know the activation by the architecture.
void check_activation(const Config& config, std::string_view architecture) {
  const bool gemma = is_gemma(architecture);
  const auto name = gemma ? config.string({"hidden_activation", "hidden_act"}) : config.string({"hidden_act"});
  constexpr std::string_view kSilu[] = {"silu", "swish"}, kTanh[] = {"gelu_pytorch_tanh", "gelu_new"};
  if (name && std::ranges::find(gemma ? kTanh : kSilu, *name) == (gemma ? std::end(kTanh) : std::end(kSilu)))
    config.cannot_be_said(str("the activation is ", quoted(*name), "; of the architecture ", architecture, " GGUF knows only ",
                      gemma ? kTanh[0] : kSilu[0]));
}

/// Attention that looks ahead, as models that make embeddings of texts have it.
void check_direction(const Config& config) {
  const nlohmann::json* ahead = config.find({"use_bidirectional_attention"});
  if (ahead && (*ahead == true || *ahead == "all"))
    config.cannot_be_said("tokens look at later ones (use_bidirectional_attention), which no loader of text models does");
}

// --- experts --------------------------------------------------------------------------------------------------------

void check_every_layer_has_experts(const Config& config) {
  const auto* dense = config.find({"mlp_only_layers"});
  if (config.integer({"decoder_sparse_step"}).value_or(1) != 1 || (dense && !dense->empty()))
    config.cannot_be_said("some layers have no experts (decoder_sparse_step, mlp_only_layers), which GGUF cannot say of this "
                  "architecture");
}

void check_norm(const Config& config, bool normalised) {
  if (config.flag({"norm_topk_prob"}).value_or(normalised) == normalised) return;
  config.cannot_be_said(str("the weights of the chosen experts are ", normalised ? "not " : "", "normalised (norm_topk_prob ",
                    normalised ? "false" : "true", "), which GGUF cannot say of this architecture"));
}

void check_experts(const Config& config, std::string_view architecture) {
  constexpr std::string_view kNormalised[] = {"qwen3moe", "qwen3next", "qwen3vlmoe"};
  const bool normalised = std::ranges::find(kNormalised, architecture) != std::end(kNormalised);
  if (!normalised && architecture != "qwen2moe") return;
  check_norm(config, normalised);
  check_every_layer_has_experts(config);
}

// --- what llama.cpp's loader lacks ----------------------------------------------------------------------------------

/// Architectures that llama.cpp loads with biases of attention.
bool takes_biases(std::string_view architecture) {
  constexpr std::string_view kNames[] = {"llama", "mistral3", "qwen2", "qwen2vl", "qwen2moe", "glm4moe", "gpt-oss"};
  return std::ranges::find(kNames, architecture) != std::end(kNames);
}

void remark_loader(const Config& config, std::string_view architecture, std::vector<std::string>& remarks) {
  if (!takes_biases(architecture) && config.flag({"attention_bias"}).value_or(false))
    remarks.push_back("attention has biases, with which llama.cpp does not load this architecture");
  if (config.integer({"linear_key_head_dim"}) != config.integer({"linear_value_head_dim"}))
    remarks.push_back("keys and values of the delta nets have heads of two sizes, with which llama.cpp does not load this "
                      "architecture");
  const bool is_lite = config.layers() == 26 || config.layers() == 27;
  if (architecture == "deepseek2" && !config.integer({"q_lora_rank"}) && !is_lite)
    remarks.push_back("queries are not compressed (q_lora_rank), which llama.cpp loads in models of 26 or 27 layers alone");
}

// --- windows --------------------------------------------------------------------------------------------------------

/// Architectures whose loaders compute full attention, whatever the model was made with.
bool is_without_windows(std::string_view architecture) {
  constexpr std::string_view kNames[] = {"llama", "mistral3", "qwen2", "qwen2vl",
                                         "qwen2moe", "qwen3", "qwen3moe", "phi3"};
  return std::ranges::find(kNames, architecture) != std::end(kNames);
}

bool has_window(const Config& config) {
  if (config.model_type() == "llama") return false;  // the class knows none, whatever the file says
  const bool switched = config.model_type().starts_with("qwen");
  return config.integer({"sliding_window"}).value_or(0) > 0 &&
         (!switched || config.flag({"use_sliding_window"}).value_or(false));
}

/// Norms inside of attention have a number of their own in the class; loaders take rms_norm_eps for them too.
bool has_norms_inside(std::string_view architecture) {
  constexpr std::string_view kNames[] = {"deepseek2", "qwen3next", "qwen35", "qwen35moe"};
  return std::ranges::find(kNames, architecture) != std::end(kNames);
}

}  // namespace

void check_sayable(const Config& config, std::string_view architecture, std::vector<std::string>& remarks) {
  check_activation(config, architecture);
  check_direction(config);
  check_experts(config, architecture);
  check_rope(config, architecture, remarks);
  remark_loader(config, architecture, remarks);
  if (has_norms_inside(architecture) && config.real({"rms_norm_eps"}).value_or(1e-6) != 1e-6)
    remarks.push_back("rms_norm_eps is not 1e-6: GGUF has no place for the 1e-6 of the norms inside of attention, and its "
                      "loaders compute them with rms_norm_eps");
  if (is_without_windows(architecture) && has_window(config))
    remarks.push_back("the attention window is left out: GGUF has no place for it in this architecture, and texts longer "
                      "than the window are computed with full attention");
}

}  // namespace snug::hf
