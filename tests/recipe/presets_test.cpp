#include "recipe/presets.hpp"

#include "recipe/file_type.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "base/str.hpp"
#include "recipe/format_names.hpp"
#include "support/scratch.hpp"

namespace snug {
namespace {

/// A model's tensor types under every preset, as llama.cpp's own tests state them (tests/data/presets).
struct Schema {
  std::map<std::string, int64_t> header;  // "n_embd" -> 2560
  struct Section {
    std::string preset, base;
    std::map<std::string, std::string> exceptions;
  };
  std::vector<Section> sections;
};

Schema read_schema(const std::filesystem::path& path) {
  Schema schema;
  std::ifstream in{path};
  for (std::string line; std::getline(in, line);) {
    for (char& c : line)
      if (c == '=' || c == ',') c = ' ';
    std::istringstream words{line};
    std::string first, second;
    words >> first;
    if (first == "#") {
      int64_t value;
      while (words >> first && words >> value) schema.header[first] = value;
    } else if (first.starts_with("[")) {
      words >> second;
      schema.sections.push_back({first.substr(1, first.size() - 2), second, {}});
    } else if (!first.empty()) {
      words >> second;
      schema.sections.back().exceptions[first] = second;
    }
  }
  return schema;
}

/// What a schema's header leaves out: row lengths that are no multiple of 256, and whole kinds of tensors
/// that every preset leaves at its default.
struct Structure {
  const char* file;
  const char* architecture;
  std::map<std::string, int64_t> odd_cols;                      // part of a name -> cols
  std::vector<std::pair<std::string, std::string>> companions;  // where the first is, the second is too
};

const Structure kModels[] = {
    {"deepseek-v3.1",
     "deepseek2",
     {{"attn_k_b", 128}},
     {{"ffn_down_exps", "ffn_gate_exps"}, {"ffn_down_exps", "ffn_up_exps"}, {"attn_k_b", "attn_v_b"}}},
    {"gemma-3-4b-it", "gemma3", {}, {}},
    {"glm-4.6v",
     "glm4moe",
     {{"ffn_down_exps", 1408}, {"ffn_down_shexp", 1408}, {"ffn_down.", 10944}},
     {{"ffn_down_exps", "ffn_gate_exps"}, {"ffn_down_exps", "ffn_up_exps"}}},
    {"meta-llama-3.1-70b-instruct", "llama", {}, {}},
    {"qwen3-0.6b", "qwen3", {}, {}},
    {"qwen3-14b", "qwen3", {}, {}},
    {"qwen3-coder-next",
     "qwen3next",
     {},
     {{"ffn_down_exps", "ffn_gate_exps"}, {"ffn_down_exps", "ffn_up_exps"}}},
    {"qwen3.6-27b", "qwen35", {}, {}},
};

bool is_3d(const std::string& name) {
  return name.find("_exps.") != name.npos || name.find("attn_k_b") != name.npos ||
         name.find("attn_v_b") != name.npos;
}

/// Every tensor of the model: the ones named anywhere in the schema, their companions, and some that are
/// never quantized.
std::set<std::string> tensor_names(const Schema& schema, const Structure& structure) {
  std::set<std::string> names;
  for (const auto& section : schema.sections)
    for (const auto& [name, format] : section.exceptions) names.insert(name);
  names.insert("token_embd.weight");
  for (const auto& [here, there] : structure.companions)
    for (const std::string& name : std::set{names}) {
      const size_t at = name.find(here);
      if (at != name.npos) names.insert(std::string{name}.replace(at, here.size(), there));
    }
  for (int64_t layer = 0; layer < schema.header.at("n_layer"); ++layer)
    for (const char* part : {"attn_norm", "ffn_gate_inp", "ssm_conv1d"})
      names.insert(str("blk.", layer, ".", part, ".weight"));
  return names;
}

bool never_quantized(const std::string& name) {
  return name.find("_norm.") != name.npos || name.find("ffn_gate_inp.") != name.npos ||
         name.find("ssm_conv1d") != name.npos;
}

std::vector<PresetTensor> tensors_of(const std::set<std::string>& names, const Structure& structure) {
  std::vector<PresetTensor> tensors;
  for (const std::string& name : names) {
    const bool fixed = never_quantized(name);
    PresetTensor t{name, 4096, is_3d(name) ? 128 : 1, fixed ? FormatId::f32 : FormatId::bf16, !fixed};
    for (const auto& [part, cols] : structure.odd_cols)
      if (name.find(part) != name.npos) t.cols = cols;
    tensors.push_back(t);
  }
  return tensors;
}

PresetModel model_of(const Schema& schema, const Structure& structure) {
  const auto number = [&](const char* key) {
    return schema.header.contains(key) ? schema.header.at(key) : 0;
  };
  return {structure.architecture, number("n_layer"),  number("n_head"),
          number("n_head_kv"),    number("n_expert"), false};
}

class RealModels : public testing::TestWithParam<Structure> {};

TEST_P(RealModels, GetTheTypesLlamaQuantizeGivesThem) {
  const Structure& structure = GetParam();
  const Schema schema = read_schema(test::data_folder() / "presets" / str(structure.file, ".schema"));
  ASSERT_EQ(schema.sections.size(), 33u);
  const auto names = tensor_names(schema, structure);
  const auto tensors = tensors_of(names, structure);
  const PresetModel model = model_of(schema, structure);
  ASSERT_GT(model.layers, 0);
  size_t compared = 0;
  for (const auto& section : schema.sections) {
    SCOPED_TRACE(section.preset);
    const Preset* preset = find_preset(section.preset);
    ASSERT_NE(preset, nullptr);
    const auto formats = preset_formats(*preset, model, tensors);
    for (size_t i = 0; i < tensors.size(); ++i, ++compared) {
      const auto exception = section.exceptions.find(std::string{tensors[i].name});
      const std::string expected = !tensors[i].quantizable                 ? "f32"
                                   : exception == section.exceptions.end() ? section.base
                                                                           : exception->second;
      EXPECT_EQ(format_name(formats[i]), expected) << tensors[i].name;
    }
  }
  EXPECT_EQ(compared, 33 * tensors.size());
  RecordProperty("decisions", static_cast<int>(compared));
}

INSTANTIATE_TEST_SUITE_P(Presets, RealModels, testing::ValuesIn(kModels), [](const auto& model) {
  std::string name = model.param.file;
  std::erase_if(name, [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); });
  return name;
});

/// Eight experts, two layers deep enough for every layer rule.
std::vector<std::string> mixtral_names(int layers) {
  std::vector<std::string> names{"output.weight", "token_embd.weight"};
  for (int layer = 0; layer < layers; ++layer)
    for (const char* part :
         {"attn_k", "attn_output", "attn_q", "attn_v", "ffn_down_exps", "ffn_gate_exps", "ffn_up_exps"})
      names.push_back(str("blk.", layer, ".", part, ".weight"));
  return names;
}

std::string format_in(const std::vector<std::string>& names, const PresetModel& model, const char* preset,
                      const std::string& tensor, int64_t cols = 4096) {
  std::vector<PresetTensor> tensors;
  for (const std::string& name : names)
    tensors.push_back({name, cols, is_3d(name) ? 8 : 1, FormatId::f16, true});
  const auto formats = preset_formats(*find_preset(preset), model, tensors);
  for (size_t i = 0; i < names.size(); ++i)
    if (names[i] == tensor) return std::string{format_name(formats[i])};
  return "missing";
}

TEST(Presets, EightExpertsShareTheirAttentionSoItGetsMoreBits) {
  const PresetModel model{"llama", 16, 32, 8, 8, false};
  const auto names = mixtral_names(16);
  EXPECT_EQ(format_in(names, model, "q4_k_m", "blk.7.attn_v.weight"), "q8_0");
  EXPECT_EQ(format_in(names, model, "q4_k_m", "blk.7.attn_k.weight"), "q8_0");
  EXPECT_EQ(format_in(names, model, "q4_k_m", "blk.7.attn_output.weight"), "q5_K");
  EXPECT_EQ(format_in(names, model, "q3_k_l", "blk.7.attn_output.weight"), "q3_K");
  EXPECT_EQ(format_in(names, model, "q5_k_m", "blk.7.attn_output.weight"), "q5_K");
  EXPECT_EQ(format_in(names, model, "q6_k", "blk.7.attn_output.weight"), "q6_K");
  EXPECT_EQ(format_in(names, model, "iq2_xs", "blk.7.attn_k.weight"), "q4_K");
  EXPECT_EQ(format_in(names, model, "iq2_xs", "blk.7.attn_v.weight"), "q4_K");
  EXPECT_EQ(format_in(names, model, "iq1_s", "blk.7.attn_output.weight"), "q5_K");
  EXPECT_EQ(format_in(names, model, "iq3_m", "blk.4.ffn_down_exps.weight"),
            "q4_K");  // "more" counts with 8 experts
  EXPECT_EQ(format_in(names, model, "iq3_m", "blk.5.ffn_down_exps.weight"), "iq3_s");
}

TEST(Presets, AnImatrixChangesWhatNeedsOne) {
  const auto names = mixtral_names(16);
  PresetModel model{"llama", 16, 32, 16, 0, false};
  EXPECT_EQ(format_in(names, model, "iq3_xxs", "blk.9.attn_v.weight"), "iq3_s");
  EXPECT_EQ(format_in(names, model, "iq3_xxs", "blk.0.ffn_down_exps.weight"), "q4_K");
  EXPECT_EQ(format_in(names, model, "iq4_xs", "blk.0.ffn_down_exps.weight"), "q5_K");
  EXPECT_EQ(format_in(names, model, "q4_0", "blk.0.ffn_down_exps.weight"), "q4_0");
  model.has_imatrix = true;
  EXPECT_EQ(format_in(names, model, "iq3_xxs", "blk.9.attn_v.weight"), "iq3_xxs");
  EXPECT_EQ(format_in(names, model, "iq3_xxs", "blk.0.ffn_down_exps.weight"), "iq3_xxs");
  EXPECT_EQ(format_in(names, model, "iq4_xs", "blk.0.ffn_down_exps.weight"), "iq4_xs");
  EXPECT_EQ(format_in(names, model, "q4_0", "blk.0.ffn_down_exps.weight"), "q4_1");
  EXPECT_EQ(format_in(names, model, "q5_0", "blk.1.ffn_down_exps.weight"), "q5_1");
  EXPECT_EQ(format_in(names, model, "q5_0", "blk.2.ffn_down_exps.weight"), "q5_0");
}

TEST(Presets, RowsThatDoNotFitFallBack) {
  EXPECT_EQ(fitting_format(FormatId::q4_K, 512), FormatId::q4_K);
  EXPECT_EQ(fitting_format(FormatId::q4_K, 704), FormatId::q5_0);
  EXPECT_EQ(fitting_format(FormatId::iq2_xxs, 704), FormatId::iq4_nl);
  EXPECT_EQ(fitting_format(FormatId::q6_K, 704), FormatId::q8_0);
  EXPECT_EQ(fitting_format(FormatId::q2_0, 96), FormatId::q4_0);
  EXPECT_EQ(fitting_format(FormatId::q4_0, 172), FormatId::f16);  // where llama-quantize gives up
  EXPECT_EQ(fitting_format(FormatId::q4_K, 172), FormatId::f16);
  const PresetModel model{"llama", 16, 32, 8, 0, false};
  EXPECT_EQ(format_in(mixtral_names(16), model, "q4_k_m", "output.weight", 704), "q8_0");
  EXPECT_EQ(format_in(mixtral_names(16), model, "q4_k_m", "token_embd.weight", 704), "q5_0");
  EXPECT_EQ(format_in(mixtral_names(16), {"falcon", 16, 32, 8, 0, false}, "q4_k_m", "output.weight"), "q8_0");
}

TEST(Presets, OrderOfTheTensorsGivenDoesNotMatter) {
  auto names = mixtral_names(16);
  const PresetModel model{"llama", 16, 32, 8, 0, false};
  std::map<std::string, std::string> sorted;
  for (const auto& name : names) sorted[name] = format_in(names, model, "q4_k_m", name);
  std::ranges::reverse(names);
  for (const auto& name : names) EXPECT_EQ(format_in(names, model, "q4_k_m", name), sorted[name]) << name;
}

TEST(Presets, AreFoundByAnySpelling) {
  EXPECT_EQ(find_preset("Q4_K_M")->file_type, 15u);
  EXPECT_EQ(find_preset("q4_k"), find_preset("q4_k_m"));
  EXPECT_EQ(find_preset("q4_k_x"), nullptr);
  EXPECT_EQ(find_preset(""), nullptr);
  EXPECT_EQ(preset_names().size(), presets().size());
  for (const Preset& preset : presets()) EXPECT_EQ(find_preset(preset.name), &preset);
}

TEST(Presets, AMixIsLabelledWithTheNextLargerFileType) {
  EXPECT_EQ(file_type_for_bpw(1.0), 24u);     // iq1_s
  EXPECT_EQ(file_type_for_bpw(2.0625), 19u);  // iq2_xxs
  EXPECT_EQ(file_type_for_bpw(3.5), 30u);     // iq4_xs
  EXPECT_EQ(file_type_for_bpw(4.5), 15u);     // q4_k_m
  EXPECT_EQ(file_type_for_bpw(4.51), 17u);    // q5_k_m
  EXPECT_EQ(file_type_for_bpw(9), 32u);       // bf16
  EXPECT_EQ(file_type_for_bpw(17), 0u);
}

TEST(Presets, EmptyAndOddModelsAreHarmless) {
  for (const Preset& preset : presets()) {
    EXPECT_TRUE(preset_formats(preset, {}, {}).empty());
    const PresetTensor odd[] = {{"", 0, 1, FormatId::f16, true},
                                {"blk.99999999999999999999.ffn_down.weight", 256, 1, FormatId::f16, true},
                                {"blk.-3.attn_v.weight", 31, 0, FormatId::f16, true}};
    EXPECT_EQ(preset_formats(preset, {"", 0, 0, 0, 8, true}, odd).size(), 3u);
  }
}

}  // namespace
}  // namespace snug
