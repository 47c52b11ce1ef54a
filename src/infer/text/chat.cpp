#include "infer/text/chat.hpp"

#include <algorithm>
#include <initializer_list>

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

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view blanks = " \t\r\n\v\f";
  const size_t first = text.find_first_not_of(blanks);
  return first == text.npos ? std::string_view{} : text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

/// Forms of the [INST] kind differ in blanks only.
std::string_view inst_form(std::string_view t) {
  const auto has = [&](std::string_view mark) { return t.find(mark) != t.npos; };
  if (has("[SYSTEM_PROMPT]")) return has("[SYSTEM_PROMPT] ") ? "mistral-v7" : "mistral-v7-tekken";
  if (!has("' [INST] ' + system_message") && !has("[AVAILABLE_TOOLS]")) return "llama-2";
  return has(" [INST]") ? "mistral-v1" : has("\"[INST]\"") ? "mistral-v3-tekken" : "mistral-v3";
}

}  // namespace

std::span<const ChatForm> chat_forms() { return kForms; }

const ChatForm* find_chat_form(std::string_view name) {
  const auto found = std::ranges::find(kForms, name, &ChatForm::name);
  return found == std::end(kForms) ? nullptr : &*found;
}

const ChatForm* recognise_chat_form(std::string_view t) {
  const auto all = [&](std::initializer_list<std::string_view> marks) {
    return std::ranges::all_of(marks, [&](std::string_view mark) { return t.find(mark) != t.npos; });
  };
  // The first match counts: later marks also stand in templates of other families.
  if (all({"<|im_start|>", "<|im_sep|>"})) return find_chat_form("phi-4");
  if (all({"<|im_start|>"})) return find_chat_form("chatml");
  if (all({"[INST]"})) return find_chat_form(inst_form(t));
  if (all({"<|assistant|>", "<|end|>"})) return find_chat_form("phi-3");
  if (all({"[gMASK]", "<sop>"})) return find_chat_form("glm-4");
  if (all({"<start_of_turn>"})) return find_chat_form("gemma");
  if (all({"<|turn>"})) return find_chat_form("gemma-4");
  if (all({"<|start_header_id|>"})) return find_chat_form("llama-3");
  if (all({"<|start_of_role|>"})) return find_chat_form("granite");
  if (all({"'Assistant: ' + message['content'] + eos_token"})) return find_chat_form("deepseek-2");
  if (all({"<｜Assistant｜>", "<｜User｜>"})) return find_chat_form("deepseek-3");
  if (all({"<|start|>", "<|channel|>"})) return find_chat_form("gpt-oss");
  if (all({"<|im_assistant|>", "<|im_middle|>"})) return find_chat_form("kimi-k2");
  return nullptr;
}

std::string render_chat(const ChatForm& form, std::span<const Message> messages) {
  std::string out{form.start}, pending_system;
  bool first_user = true;
  for (const Message& message : messages) {
    const std::string_view text = form.trims ? trimmed(message.text) : std::string_view{message.text};
    if (message.role == Role::system) {
      if (form.system_join.empty())
        out.append(form.system_before).append(text).append(form.system_after);
      else
        pending_system.append(form.name == "llama-2" ? "<<SYS>>\n" : "").append(text).append(form.system_join);
    } else if (message.role == Role::user) {
      const bool later = !first_user && !form.later_user_before.empty();
      out.append(later ? form.later_user_before : form.user_before).append(pending_system).append(text);
      out.append(form.user_after);
      pending_system.clear();
      first_user = false;
    } else {
      out.append(form.assistant_before).append(text).append(form.assistant_after);
    }
  }
  if (messages.empty() || messages.back().role != Role::assistant) out.append(form.generation);
  return out;
}

}  // namespace snug::infer
