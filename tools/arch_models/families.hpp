#pragma once

#include "tools/arch_models/parts.hpp"

namespace snug::tools {

void draft_llama(Draft& d, Scaling scaling, bool experts);  // and mistral3
void draft_qwen(Draft& d);                                  // qwen2, qwen3
void draft_qwen_moe(Draft& d);                              // qwen2moe, qwen3moe
void draft_phi3(Draft& d, int64_t original_context);
void draft_gemma(Draft& d, int64_t layers);  // gemma2, gemma3
enum class Gemma4 { dense, per_layer, experts };
void draft_gemma4(Draft& d, Gemma4 form);
void draft_gpt_oss(Draft& d);
enum class Glm4 { plain, sections, ahead };
void draft_glm4_moe(Draft& d, Glm4 form);
enum class DeepSeek { lite, lora, legacy, temperature, ahead };
void draft_deepseek2(Draft& d, DeepSeek form);
enum class Recurrent { split, fused_in, ahead };
void draft_qwen_next(Draft& d, Recurrent form);  // qwen3next, qwen35, qwen35moe

}  // namespace snug::tools
