#include "infer/text/chat_forms.hpp"

#include <algorithm>

#include "base/str.hpp"

namespace snug::infer {
namespace {

constexpr ChatForm kForms[] = {
    {.name = "chatml",
     .system_before = "<|im_start|>system\n", .system_after = "<|im_end|>\n",
     .user_before = "<|im_start|>user\n", .user_after = "<|im_end|>\n",
     .assistant_before = "<|im_start|>assistant\n", .assistant_after = "<|im_end|>\n",
     .generation = "<|im_start|>assistant\n"},
    {.name = "phi-4",
     .system_before = "<|im_start|>system<|im_sep|>", .system_after = "<|im_end|>",
     .user_before = "<|im_start|>user<|im_sep|>", .user_after = "<|im_end|>",
     .assistant_before = "<|im_start|>assistant<|im_sep|>", .assistant_after = "<|im_end|>",
     .generation = "<|im_start|>assistant<|im_sep|>"},
    {.name = "llama-3",
     .system_before = "<|start_header_id|>system<|end_header_id|>\n\n", .system_after = "<|eot_id|>",
     .user_before = "<|start_header_id|>user<|end_header_id|>\n\n", .user_after = "<|eot_id|>",
     .assistant_before = "<|start_header_id|>assistant<|end_header_id|>\n\n", .assistant_after = "<|eot_id|>",
     .generation = "<|start_header_id|>assistant<|end_header_id|>\n\n", .trims = true},
    {.name = "llama-2",
     .system_before = {}, .system_after = {},
     .user_before = "[INST] ", .user_after = " [/INST]",
     .assistant_before = {}, .assistant_after = "</s>",
     .generation = {}, .system_join = "\n<</SYS>>\n\n", .later_user_before = "<s>[INST] ", .trims = true},
    {.name = "gemma",
     .system_before = {}, .system_after = {},
     .user_before = "<start_of_turn>user\n", .user_after = "<end_of_turn>\n",
     .assistant_before = "<start_of_turn>model\n", .assistant_after = "<end_of_turn>\n",
     .generation = "<start_of_turn>model\n", .system_join = "\n", .trims = true},
    {.name = "gemma-4",
     .system_before = "<|turn>system\n", .system_after = "<turn|>\n",
     .user_before = "<|turn>user\n", .user_after = "<turn|>\n",
     .assistant_before = "<|turn>model\n", .assistant_after = "<turn|>\n",
     .generation = "<|turn>model\n<|channel>thought\n<channel|>", .trims = true},
    {.name = "mistral-v1",
     .system_before = {}, .system_after = {},
     .user_before = " [INST] ", .user_after = " [/INST]",
     .assistant_before = " ", .assistant_after = "</s>",
     .generation = {}, .system_join = "\n\n"},
    {.name = "mistral-v3",
     .system_before = {}, .system_after = {},
     .user_before = "[INST] ", .user_after = "[/INST]",
     .assistant_before = " ", .assistant_after = "</s>",
     .generation = {}, .system_join = "\n\n"},
    {.name = "mistral-v3-tekken",
     .system_before = {}, .system_after = {},
     .user_before = "[INST]", .user_after = "[/INST]",
     .assistant_before = {}, .assistant_after = "</s>",
     .generation = {}, .system_join = "\n\n"},
    {.name = "mistral-v7",
     .system_before = "[SYSTEM_PROMPT] ", .system_after = "[/SYSTEM_PROMPT]",
     .user_before = "[INST] ", .user_after = "[/INST]",
     .assistant_before = " ", .assistant_after = "</s>",
     .generation = {}},
    {.name = "mistral-v7-tekken",
     .system_before = "[SYSTEM_PROMPT]", .system_after = "[/SYSTEM_PROMPT]",
     .user_before = "[INST]", .user_after = "[/INST]",
     .assistant_before = {}, .assistant_after = "</s>",
     .generation = {}},
    {.name = "phi-3",
     .system_before = "<|system|>\n", .system_after = "<|end|>\n",
     .user_before = "<|user|>\n", .user_after = "<|end|>\n",
     .assistant_before = "<|assistant|>\n", .assistant_after = "<|end|>\n",
     .generation = "<|assistant|>\n"},
    {.name = "deepseek-2",
     .system_before = {}, .system_after = "\n\n",
     .user_before = "User: ", .user_after = "\n\n",
     .assistant_before = "Assistant: ", .assistant_after = "<｜end▁of▁sentence｜>",
     .generation = "Assistant:"},
    {.name = "deepseek-3",
     .system_before = {}, .system_after = {},
     .user_before = "<｜User｜>", .user_after = {},
     .assistant_before = "<｜Assistant｜>", .assistant_after = "<｜end▁of▁sentence｜>",
     .generation = "<｜Assistant｜>"},
    {.name = "gpt-oss",
     .system_before = "<|start|>developer<|message|># Instructions\n\n", .system_after = "\n\n<|end|>",
     .user_before = "<|start|>user<|message|>", .user_after = "<|end|>",
     .assistant_before = "<|start|>assistant<|channel|>final<|message|>", .assistant_after = "<|end|>",
     .generation = "<|start|>assistant",
     .start = "<|start|>system<|message|>You are ChatGPT, a large language model trained by OpenAI.\n"
              "Knowledge cutoff: 2024-06\n\nReasoning: medium\n\n# Valid channels: analysis, commentary, final. "
              "Channel must be included for every message.<|end|>"},
    {.name = "glm-4",
     .system_before = "<|system|>\n", .system_after = {},
     .user_before = "<|user|>\n", .user_after = {},
     .assistant_before = "<|assistant|>\n", .assistant_after = {},
     .generation = "<|assistant|>", .start = "[gMASK]<sop>"},
    {.name = "kimi-k2",
     .system_before = "<|im_system|>system<|im_middle|>", .system_after = "<|im_end|>",
     .user_before = "<|im_user|>user<|im_middle|>", .user_after = "<|im_end|>",
     .assistant_before = "<|im_assistant|>assistant<|im_middle|>", .assistant_after = "<|im_end|>",
     .generation = "<|im_assistant|>assistant<|im_middle|>"},
    {.name = "granite",
     .system_before = "<|start_of_role|>system<|end_of_role|>", .system_after = "<|end_of_text|>\n",
     .user_before = "<|start_of_role|>user<|end_of_role|>", .user_after = "<|end_of_text|>\n",
     .assistant_before = "<|start_of_role|>assistant<|end_of_role|>", .assistant_after = "<|end_of_text|>\n",
     .generation = "<|start_of_role|>assistant<|end_of_role|>"},
};

/// A string of Jinja's. Control characters but line ends stand in none of the forms.
std::string literal(std::string_view text) {
  std::string out{"\""};
  for (const char c : text) {
    if (c == '\n')
      out += "\\n";
    else if (c == '"' || c == '\\')
      out += str('\\', c);
    else
      out += c;
  }
  return out + "\"";
}

}  // namespace

std::span<const ChatForm> chat_forms() { return kForms; }

const ChatForm* find_chat_form(std::string_view name) {
  const auto found = std::ranges::find(kForms, name, &ChatForm::name);
  return found == std::end(kForms) ? nullptr : &*found;
}

std::string jinja_of(const ChatForm& form) {
  const std::string_view system_mark = form.name == "llama-2" ? "<<SYS>>\n" : "";
  const std::string system =
      form.system_join.empty()
          ? str("{{- ", literal(form.system_before), " + text + ", literal(form.system_after), " -}}")
          : str("{%- set ns.system = ns.system + ", literal(system_mark), " + text + ",
                literal(form.system_join), " -%}");
  const std::string_view later = form.later_user_before.empty() ? form.user_before : form.later_user_before;
  return str("{%- set ns = namespace(system='', first=true) -%}", "{{- ", literal(form.start), " -}}\n",
             "{%- for message in messages -%}\n", "{%- set text = message.content", form.trims ? " | trim" : "",
             " -%}\n", "{%- if message.role == 'system' -%}", system, "\n{%- elif message.role == 'user' -%}",
             "{{- (", literal(form.user_before), " if ns.first else ", literal(later), ") + ns.system + text + ",
             literal(form.user_after), " -}}", "{%- set ns.system = '' -%}{%- set ns.first = false -%}\n",
             "{%- else -%}{{- ", literal(form.assistant_before), " + text + ", literal(form.assistant_after),
             " -}}{%- endif -%}\n", "{%- endfor -%}\n", "{%- if add_generation_prompt -%}{{- ",
             literal(form.generation), " -}}{%- endif -%}");
}

}  // namespace snug::infer
