#include "infer/text/chat.hpp"

#include <gtest/gtest.h>

#include <set>
#include <vector>

namespace snug::infer {
namespace {

const std::vector<Message> kOneTurn{{Role::system, "S"}, {Role::user, "U"}};
const std::vector<Message> kTwoTurns{{Role::user, "U"}, {Role::assistant, "A"}, {Role::user, "V"}};

std::string rendered(std::string_view form, const std::vector<Message>& messages) {
  return render_chat(*find_chat_form(form), messages);
}

TEST(Chat, EachFamilyIsWrittenItsOwnWay) {
  EXPECT_EQ(rendered("chatml", kOneTurn),
            "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nU<|im_end|>\n<|im_start|>assistant\n");
  EXPECT_EQ(
      rendered("llama-3", kOneTurn),
      "<|start_header_id|>system<|end_header_id|>\n\nS<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n"
      "U<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n");
  EXPECT_EQ(rendered("llama-2", kOneTurn), "[INST] <<SYS>>\nS\n<</SYS>>\n\nU [/INST]");
  EXPECT_EQ(rendered("gemma", kOneTurn), "<start_of_turn>user\nS\nU<end_of_turn>\n<start_of_turn>model\n");
  EXPECT_EQ(rendered("gemma-4", kOneTurn),
            "<|turn>system\nS<turn|>\n<|turn>user\nU<turn|>\n<|turn>model\n<|channel>thought\n<channel|>");
  EXPECT_EQ(rendered("mistral-v1", kOneTurn), " [INST] S\n\nU [/INST]");
  EXPECT_EQ(rendered("mistral-v3", kOneTurn), "[INST] S\n\nU[/INST]");
  EXPECT_EQ(rendered("mistral-v3-tekken", kOneTurn), "[INST]S\n\nU[/INST]");
  EXPECT_EQ(rendered("mistral-v7", kOneTurn), "[SYSTEM_PROMPT] S[/SYSTEM_PROMPT][INST] U[/INST]");
  EXPECT_EQ(rendered("mistral-v7-tekken", kOneTurn), "[SYSTEM_PROMPT]S[/SYSTEM_PROMPT][INST]U[/INST]");
  EXPECT_EQ(rendered("phi-3", kOneTurn), "<|system|>\nS<|end|>\n<|user|>\nU<|end|>\n<|assistant|>\n");
  EXPECT_EQ(rendered("deepseek-2", kOneTurn), "S\n\nUser: U\n\nAssistant:");
  EXPECT_EQ(rendered("deepseek-3", kOneTurn), "S<｜User｜>U<｜Assistant｜>");
  EXPECT_EQ(rendered("glm-4", kOneTurn), "[gMASK]<sop><|system|>\nS<|user|>\nU<|assistant|>");
}

TEST(Chat, EarlierAnswersStandBetweenTheTurns) {
  EXPECT_EQ(rendered("llama-2", kTwoTurns), "[INST] U [/INST]A</s><s>[INST] V [/INST]");
  EXPECT_EQ(rendered("mistral-v3", kTwoTurns), "[INST] U[/INST] A</s>[INST] V[/INST]");
  EXPECT_EQ(rendered("gemma", kTwoTurns),
            "<start_of_turn>user\nU<end_of_turn>\n<start_of_turn>model\nA<end_of_turn>\n"
            "<start_of_turn>user\nV<end_of_turn>\n<start_of_turn>model\n");
  EXPECT_EQ(rendered("chatml", {{Role::user, "U"}, {Role::assistant, "A"}}),
            "<|im_start|>user\nU<|im_end|>\n<|im_start|>assistant\nA<|im_end|>\n");
}

TEST(Chat, SomeFamiliesTrimTheTexts) {
  EXPECT_EQ(rendered("gemma", {{Role::user, " \n U "}}),
            "<start_of_turn>user\nU<end_of_turn>\n<start_of_turn>model\n");
  EXPECT_EQ(rendered("phi-3", {{Role::user, " U"}}), "<|user|>\n U<|end|>\n<|assistant|>\n");
}

TEST(Chat, TemplatesAreKnownByTheirMarks) {
  const auto name = [](std::string_view words) {
    const ChatForm* form = recognise_chat_form(words);
    return form ? form->name : std::string_view{"none"};
  };
  EXPECT_EQ(name("{{'<|im_start|>' + message['role'] + '\\n'}}"), "chatml");
  EXPECT_EQ(name("<|im_start|>user<|im_sep|>"), "phi-4");
  EXPECT_EQ(name("{{ '[INST] ' + content + ' [/INST]' }}"), "llama-2");
  EXPECT_EQ(name("[AVAILABLE_TOOLS] {{ ' [INST] ' }}"), "mistral-v1");
  EXPECT_EQ(name("[AVAILABLE_TOOLS] {{ \"[INST]\" }}"), "mistral-v3-tekken");
  EXPECT_EQ(name("[AVAILABLE_TOOLS] {{ '[INST]' }}"), "mistral-v3");
  EXPECT_EQ(name("[SYSTEM_PROMPT][INST]"), "mistral-v7-tekken");
  EXPECT_EQ(name("<|user|><|assistant|><|end|>"), "phi-3");
  EXPECT_EQ(name("[gMASK]<sop><|user|>"), "glm-4");
  EXPECT_EQ(name("<start_of_turn>"), "gemma");
  EXPECT_EQ(name("<|turn>user"), "gemma-4");
  EXPECT_EQ(name("<|start_header_id|>"), "llama-3");
  EXPECT_EQ(name("<｜User｜><｜Assistant｜>"), "deepseek-3");
  EXPECT_EQ(name("<|start|>x<|channel|>"), "gpt-oss");
  EXPECT_EQ(name("{{ messages }}"), "none");
  EXPECT_EQ(name(""), "none");
}

TEST(Chat, NamesAreUnique) {
  std::set<std::string_view> names;
  for (const ChatForm& form : chat_forms()) EXPECT_TRUE(names.insert(form.name).second) << form.name;
  EXPECT_EQ(find_chat_form("no such"), nullptr);
}

}  // namespace
}  // namespace snug::infer
