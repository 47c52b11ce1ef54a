#pragma once

#include <memory>

#include "infer/architecture.hpp"

namespace snug::infer {

std::unique_ptr<Architecture> make_llama(const ArchitectureInputs& source);      // and mistral3
std::unique_ptr<Architecture> make_qwen(const ArchitectureInputs& source);       // qwen2, qwen3
std::unique_ptr<Architecture> make_qwen_moe(const ArchitectureInputs& source);   // qwen2moe, qwen3moe
std::unique_ptr<Architecture> make_qwen_next(const ArchitectureInputs& source);  // qwen3next, qwen35, qwen35moe
std::unique_ptr<Architecture> make_phi3(const ArchitectureInputs& source);
std::unique_ptr<Architecture> make_gemma(const ArchitectureInputs& source);  // gemma2, gemma3
std::unique_ptr<Architecture> make_gemma4(const ArchitectureInputs& source);
std::unique_ptr<Architecture> make_gpt_oss(const ArchitectureInputs& source);
std::unique_ptr<Architecture> make_glm4_moe(const ArchitectureInputs& source);
std::unique_ptr<Architecture> make_deepseek2(const ArchitectureInputs& source);

}  // namespace snug::infer
