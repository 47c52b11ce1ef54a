#include "infer/text/chat_template.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <set>
#include <string>
#include <vector>

#include "infer/text/chat_forms.hpp"
#include "snug/error.hpp"

namespace snug::infer {
namespace {

const std::vector<Message> kOneTurn{{Role::system, "S"}, {Role::user, "U"}};
const std::vector<Message> kTwoTurns{{Role::user, "U"}, {Role::assistant, "A"}, {Role::user, "V"}};

std::string rendered(std::string_view form, const std::vector<Message>& messages) {
  return ChatTemplate::built_in(form).render(messages, {});
}

std::string rendered_by(const std::string& source, const std::vector<Message>& messages,
                        const ChatTokens& tokens = {}) {
  return ChatTemplate{source, "the template"}.render(messages, tokens);
}

/// The error of a template, when it is read or when it is rendered.
Error fault_of(const std::string& source, const std::vector<Message>& messages = kOneTurn) {
  try {
    rendered_by(source, messages);
  } catch (const Error& error) {
    return error;
  }
  return Error{"no error"};
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

TEST(Chat, NamesAreUniqueAndTheOnlyOnesKnown) {
  std::set<std::string_view> names;
  for (const std::string_view name : ChatTemplate::built_in_names())
    EXPECT_TRUE(names.insert(name).second) << name;
  try {
    ChatTemplate::built_in("no such");
    FAIL() << "there is no such template";
  } catch (const Error& error) {
    EXPECT_EQ(error.fault(), Fault::usage);
    EXPECT_NE(error.remedy().find("llama-3"), std::string::npos);
  }
}

TEST(Chat, TemplatesAreRenderedAsPythonsJinjaDoes) {
  EXPECT_EQ(
      rendered_by("{% for m in messages %}\n  {{ m.role }}={{ m['content'] }};\n  {% endfor %}\n!", kOneTurn),
      "  system=S;\n  user=U;\n!");
  EXPECT_EQ(
      rendered_by("{{ messages[1:] | length }}{{ messages | map(attribute='role') | join(',') }}", kOneTurn),
      "1system,user");
  EXPECT_EQ(
      rendered_by("{%- set ns = namespace(n=0) -%}{%- for m in messages if m.role != 'system' -%}"
                  "{%- set ns.n = ns.n + loop.index -%}{%- endfor -%}{{ ns.n }}{{ messages[0] | tojson }}",
                  kOneTurn),
      R"(1{"role": "system", "content": "S"})");
  EXPECT_EQ(
      rendered_by("{% macro f(x, y='b') %}<{{ x ~ y }}>{% endmacro %}{{ f('a') }}{{ ' a '.strip().upper() }}",
                  kOneTurn),
      "<ab>A");
  EXPECT_EQ(
      rendered_by("{{ tools is none }}{{ enable_thinking is defined }}{{ add_generation_prompt }}", kOneTurn),
      "TrueFalseTrue");
  EXPECT_EQ(rendered_by("{{ add_generation_prompt }}", {{Role::user, "U"}, {Role::assistant, "A"}}), "False");
}

TEST(Chat, WhiteSpaceAndEscapesAreReadAsPythonsJinjaDoes) {
  EXPECT_EQ(rendered_by("a\r\n  {% if true %}\r\nb\r{% endif %}", kOneTurn), "a\nb\n");
  EXPECT_EQ(rendered_by("a\n  {# c #}\n\t{{ 1 }} {# d #} e\n", kOneTurn), "a\n\t1  e");
  EXPECT_EQ(rendered_by("{{ 'a\n  {% b' }}\n  {%- if true %}\n  c{% endif %}", kOneTurn), "a\n  {% b  c");
  EXPECT_EQ(rendered_by(R"({{ '\u2581\x41\U0001F600\x27\\u' }})", kOneTurn), "▁A😀'\\u");
  EXPECT_EQ(rendered_by(R"({{ '\UFFFFFFFF\ud800\x4' }})", kOneTurn), "UFFFFFFFFud800x4");  // no characters
}

TEST(Chat, FiltersAreThoseOfPythonsJinja) {
  EXPECT_EQ(rendered_by("{{ 'aXbX' | replace('X', 'yy') }}{{ [1, 2] | first }}{{ [1, 2] | reverse | list }}",
                        kOneTurn),
            "ayybyy1[2, 1]");
  EXPECT_EQ(rendered_by("{{ 'äB' | length }}{{ 'aBC' | capitalize }}{{ strftime_now('%%') }}", kOneTurn),
            "2Abc%");
  EXPECT_EQ(rendered_by("{{ {'a': [1, {}]} | tojson(indent=2) }}", kOneTurn),
            "{\n  \"a\": [\n    1,\n    {}\n  ]\n}");
  EXPECT_EQ(rendered_by("{{ 'ä<' | tojson(ensure_ascii=false) }}", kOneTurn), "\"ä<\"");
  EXPECT_NE(fault_of("{{ 'a' | tojson(sort_keys=true) }}").problem().find("sort_keys"), std::string::npos);
  EXPECT_NE(fault_of("{{ 'a' | nonesuch }}").problem().find("does not know"), std::string::npos);
}

TEST(Chat, WhatEncodingAddsIsNotWrittenTwice) {
  const std::string source = "{{ bos_token }}{{ messages[0].content }}{{ eos_token }}";
  const std::vector<Message> one{{Role::user, "U"}};
  EXPECT_EQ(rendered_by(source, one, {.bos = "<s>", .eos = "</s>"}), "<s>U</s>");
  EXPECT_EQ(rendered_by(source, one, {.bos = "<s>", .eos = "</s>", .adds_bos = true}), "U</s>");
  EXPECT_EQ(rendered_by(source, one, {.bos = "<s>", .eos = "</s>", .adds_bos = true, .adds_eos = true}), "U");
}

TEST(Chat, ATemplateWithoutSystemMessagesGetsThemBeforeTheUsers) {
  const std::string source =
      "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('System role not supported') "
      "}}{% endif %}"
      "[{{ m.role }}]{{ m.content }}{% endfor %}";
  EXPECT_EQ(rendered_by(source, kOneTurn), "[user]S\nU");
  EXPECT_EQ(rendered_by(source, kTwoTurns), "[user]U[assistant]A[user]V");
  for (const std::vector<Message>& messages :
       {std::vector<Message>{{Role::user, "U"}, {Role::system, "S"}}, std::vector<Message>{{Role::system, "S"}},
        std::vector<Message>{{Role::system, "S"}, {Role::assistant, "A"}}}) {
    const std::string problem = fault_of(source, messages).problem();
    EXPECT_NE(problem.find("System role not supported"), std::string::npos) << "nothing is lost: " << problem;
  }
}

TEST(Chat, ToolsThatAreNotThereMayBeGoneThrough) {
  EXPECT_EQ(rendered_by("{% for t in tools %}{{ t }}{% endfor %}{{ messages[0].content }}", kOneTurn), "S");
}

TEST(Chat, FaultsNameTheLine) {
  struct Case {
    const char *source, *line;
  };
  for (const auto& [source, line] : std::initializer_list<Case>{
           {"a\nb\n{{ messages | no_such_filter }}\nc", "line 3"},
           {"a\n{{ raise_exception('no') }}", "line 2"},
           {"a\n{% for m in messages %}\n{{ m.nope.deeper() }}{% endfor %}", "line 3"},
           {"a\nb\n{% frobnicate %}\nc\n{{ 1 }}", "line 3"},
           {"a\n{{ \"x", "line 2"},
           {"a\n{{ (1 }}\nc\nd", "line 2"},
           {"a\n{% if true %}\nb", "line 2"}}) {
    const Error error = fault_of(source);
    EXPECT_TRUE(error.where().starts_with(line)) << source << ": " << error.what();
    EXPECT_NE(error.remedy().find("built-in template"), std::string::npos);
    EXPECT_NE(error.problem().find("the template"), std::string::npos);
  }
}

TEST(Chat, HostileTemplatesEndInAnError) {
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_NE(fault_of("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}").problem(), "no error");
  EXPECT_NE(fault_of("{{ " + std::string(200000, '(') + " }}").problem(), "no error");
  EXPECT_NE(fault_of("{% for i in range(1000000000) %}x{% endfor %}").problem(), "no error");
  EXPECT_NE(fault_of(std::string(2 << 20, 'x')).problem(), "no error");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::minutes{2});
}

}  // namespace
}  // namespace snug::infer
