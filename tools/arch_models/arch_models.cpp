#include "tools/arch_models/arch_models.hpp"

#include <algorithm>
#include <iterator>
#include <string>

#include "tools/arch_models/families.hpp"

namespace snug::tools {
namespace {

constexpr ArchModel kModels[] = {
    {"llama_frequencies", "llama", [](Draft& d) { draft_llama(d, Scaling::frequencies, false); }},
    {"llama_linear", "llama", [](Draft& d) { draft_llama(d, Scaling::linear, false); }},
    {"llama_old_linear", "llama", [](Draft& d) { draft_llama(d, Scaling::old_linear, false); }},
    {"llama_yarn", "llama", [](Draft& d) { draft_llama(d, Scaling::yarn, false); }},
    {"llama_long", "llama", [](Draft& d) { draft_llama(d, Scaling::long_factors, false); }},
    {"llama_experts", "llama", [](Draft& d) { draft_llama(d, Scaling::none, true); }},
    {"mistral3", "mistral3", [](Draft& d) { draft_llama(d, Scaling::yarn, false); }},
    {"mistral3_frequencies", "mistral3", [](Draft& d) { draft_llama(d, Scaling::frequencies, false); }},
    {"mistral3_long", "mistral3", [](Draft& d) { draft_llama(d, Scaling::long_factors, false); }},
    {"mistral3_experts", "mistral3", [](Draft& d) { draft_llama(d, Scaling::yarn, true); }},
    {"qwen2", "qwen2", draft_qwen},
    {"qwen2moe", "qwen2moe", draft_qwen_moe},
    {"qwen3", "qwen3", draft_qwen},
    {"qwen3moe", "qwen3moe", draft_qwen_moe},
    {"phi3_short", "phi3", [](Draft& d) { draft_phi3(d, 4096); }},
    {"phi3_long", "phi3", [](Draft& d) { draft_phi3(d, 16); }},
    {"gemma2", "gemma2", [](Draft& d) { draft_gemma(d, 4); }},
    {"gemma2_27b", "gemma2", [](Draft& d) { draft_gemma(d, 46); }},
    {"gemma3", "gemma3", [](Draft& d) { draft_gemma(d, 7); }},
    {"gemma3_27b", "gemma3", [](Draft& d) { draft_gemma(d, 62); }},
    {"gemma4_dense", "gemma4", [](Draft& d) { draft_gemma4(d, Gemma4::dense); }},
    {"gemma4_per_layer", "gemma4", [](Draft& d) { draft_gemma4(d, Gemma4::per_layer); }},
    {"gemma4_experts", "gemma4", [](Draft& d) { draft_gemma4(d, Gemma4::experts); }},
    {"gpt_oss", "gpt-oss", draft_gpt_oss},
    {"glm4moe", "glm4moe", [](Draft& d) { draft_glm4_moe(d, Glm4::plain); }},
    {"glm4moe_sections", "glm4moe", [](Draft& d) { draft_glm4_moe(d, Glm4::sections); }},
    {"glm4moe_ahead", "glm4moe", [](Draft& d) { draft_glm4_moe(d, Glm4::ahead); }},
    {"deepseek2_lite", "deepseek2", [](Draft& d) { draft_deepseek2(d, DeepSeek::lite); }},
    {"deepseek2_lora", "deepseek2", [](Draft& d) { draft_deepseek2(d, DeepSeek::lora); }},
    {"deepseek2_legacy", "deepseek2", [](Draft& d) { draft_deepseek2(d, DeepSeek::legacy); }},
    {"deepseek2_temperature", "deepseek2", [](Draft& d) { draft_deepseek2(d, DeepSeek::temperature); }},
    {"deepseek2_ahead", "deepseek2", [](Draft& d) { draft_deepseek2(d, DeepSeek::ahead); }},
    {"qwen3next", "qwen3next", [](Draft& d) { draft_qwen_next(d, Recurrent::split); }},
    {"qwen3next_old", "qwen3next", [](Draft& d) { draft_qwen_next(d, Recurrent::fused_in); }},
    {"qwen35", "qwen35", [](Draft& d) { draft_qwen_next(d, Recurrent::split); }},
    {"qwen35_ahead", "qwen35", [](Draft& d) { draft_qwen_next(d, Recurrent::ahead); }},
    {"qwen35moe", "qwen35moe", [](Draft& d) { draft_qwen_next(d, Recurrent::split); }},
    {"qwen35moe_ahead", "qwen35moe", [](Draft& d) { draft_qwen_next(d, Recurrent::ahead); }},
};

}  // namespace

std::span<const ArchModel> arch_models() {
  return kModels;
}

void write_arch_model(const ArchModel& model, uint64_t seed, const std::filesystem::path& path) {
  const auto at = std::ranges::find(kModels, model.name, &ArchModel::name) - std::begin(kModels);
  Draft draft{std::string{model.arch}, seed, static_cast<uint64_t>(at)};
  model.draft(draft);
  draft.write(path);
}

}  // namespace snug::tools
