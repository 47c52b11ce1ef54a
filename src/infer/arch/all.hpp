#pragma once

#include <memory>

#include "infer/architecture.hpp"

namespace snug::infer {

std::unique_ptr<Architecture> make_llama(const Source& source);      // and mistral3
std::unique_ptr<Architecture> make_qwen(const Source& source);       // qwen2, qwen3
std::unique_ptr<Architecture> make_qwen_moe(const Source& source);   // qwen2moe, qwen3moe
std::unique_ptr<Architecture> make_qwen_next(const Source& source);  // qwen3next, qwen35, qwen35moe
std::unique_ptr<Architecture> make_phi3(const Source& source);
std::unique_ptr<Architecture> make_gemma(const Source& source);  // gemma2, gemma3
std::unique_ptr<Architecture> make_gemma4(const Source& source);
std::unique_ptr<Architecture> make_gpt_oss(const Source& source);
std::unique_ptr<Architecture> make_glm4_moe(const Source& source);
std::unique_ptr<Architecture> make_deepseek2(const Source& source);

}  // namespace snug::infer
