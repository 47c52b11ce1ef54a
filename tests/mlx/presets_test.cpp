#include "mlx/presets.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "mlx/published_models.hpp"
#include "quant/mlx_modes.hpp"
#include "support/scratch.hpp"

namespace snug::mlx {
namespace {

using test::ModuleTree;

std::vector<std::optional<FormatId>> formats_of(const Preset& preset, const ModuleTree& tree) {
  std::vector<PresetModule> modules;
  for (const auto& module : tree.modules) modules.push_back({module.path, module.cols()});
  return preset_formats(preset, modules);
}

std::string text_of(std::optional<FormatId> format) {
  if (!format) return "bf16/-";
  const MlxMode mode = *mlx_mode_of(*format);
  return str(mode.name, mode.bits, "/", mode.group_size);
}

int64_t bytes_of(const test::ModuleShape& module, std::optional<FormatId> format) {
  return format ? find_format(*format)->row_bytes(module.cols()) * (module.weights() / module.cols()) : 2 * module.weights();
}

/// What tests/mlx/recipes.tsv says of one recipe.
struct Expected {
  std::string name;
  int64_t bytes = 0, overrides = 0;
  double raw_bits = 0;
  std::string counts;  // "affine4/64:296 affine8/64:30"
};

std::vector<Expected> expected_recipes() {
  std::ifstream file{std::string{SNUG_SOURCE_DIR} + "/tests/mlx/recipes.tsv"};
  std::vector<Expected> rows;
  std::string line;
  std::getline(file, line);  // the titles
  while (std::getline(file, line)) {
    std::istringstream in{line};
    Expected row;
    in >> row.name >> row.bytes >> row.raw_bits >> row.overrides >> std::ws;
    std::getline(in, row.counts);
    rows.push_back(row);
  }
  return rows;
}

void expect_recipe(const Preset& preset, const ModuleTree& tree, const Expected& wanted) {
  const auto formats = formats_of(preset, tree);
  std::map<std::string, int> counts;
  int64_t bytes = 2 * tree.small_weights, overrides = 0, bits = 0, weights = 0;
  for (size_t i = 0; i < formats.size(); ++i) {
    ++counts[text_of(formats[i])];
    bytes += bytes_of(tree.modules[i], formats[i]);
    overrides += formats[i] && *formats[i] != preset.usual;
    bits += (formats[i] ? mlx_mode_of(*formats[i])->bits : 16) * tree.modules[i].weights();
    weights += tree.modules[i].weights();
  }
  std::map<std::string, int> wanted_counts;
  std::istringstream words{wanted.counts};
  for (std::string word; words >> word;)
    wanted_counts[word.substr(0, word.find(':'))] = std::stoi(word.substr(word.find(':') + 1));
  EXPECT_EQ(counts, wanted_counts);
  EXPECT_EQ(bytes, wanted.bytes);
  EXPECT_EQ(overrides, wanted.overrides);
  EXPECT_NEAR(static_cast<double>(bits) / static_cast<double>(weights), wanted.raw_bits, 5e-5);
}

TEST(MlxPresets, TotalsOfThePublishedModelsAreTheseToTheByte) {
  const ModuleTree gemma = test::gemma4_26b(), qwen = test::qwen36_35b();
  const std::string qwen_name = "qwen36_";
  const auto rows = expected_recipes();
  ASSERT_EQ(rows.size(), 21u);
  for (const Expected& row : rows) {
    SCOPED_TRACE(row.name);
    const bool is_qwen = row.name.starts_with(qwen_name);
    const Preset* preset = find_preset(is_qwen ? row.name.substr(qwen_name.size()) : row.name);
    ASSERT_NE(preset, nullptr);
    expect_recipe(*preset, is_qwen ? qwen : gemma, row);
  }
}

TEST(MlxPresets, EveryModuleIsWhatThePublishedTablesSay) {
  const ModuleTree gemma = test::gemma4_26b();
  int tables = 0;
  for (const auto& entry : std::filesystem::directory_iterator{test::data_folder() / "mlx" / "recipes"}) {
    const Preset* preset = find_preset(entry.path().stem().string());
    if (!preset) continue;  // expected.tsv
    SCOPED_TRACE(preset->name);
    const auto formats = formats_of(*preset, gemma);
    std::ifstream table{entry.path()};
    std::string line;
    std::getline(table, line);
    for (size_t i = 0; i < gemma.modules.size(); ++i) {
      ASSERT_TRUE(std::getline(table, line));
      std::string path, shape, mode, bits, group;
      int64_t bytes = 0;
      std::istringstream{line} >> path >> shape >> mode >> bits >> group >> bytes;
      EXPECT_EQ(path, gemma.modules[i].path);
      EXPECT_EQ(text_of(formats[i]), mode == "bf16" ? "bf16/-" : mode + bits + "/" + group) << path;
      EXPECT_EQ(bytes_of(gemma.modules[i], formats[i]), bytes) << path;
    }
    EXPECT_FALSE(std::getline(table, line)) << "the table has more: " << line;
    ++tables;
  }
  EXPECT_EQ(tables, 8);
}

std::string format_at(const char* preset, const ModuleTree& tree, const std::string& path) {
  const auto formats = formats_of(*find_preset(preset), tree);
  for (size_t i = 0; i < formats.size(); ++i)
    if (tree.modules[i].path == path) return text_of(formats[i]);
  return "no such module";
}

TEST(MlxPresets, TheLadderKnowsNoSevenBitsAndPromotesOnlyExistingModes) {
  const ModuleTree gemma = test::gemma4_26b();
  const std::string layer = "language_model.model.layers.7.";
  EXPECT_EQ(format_at("ud_q6", gemma, layer + "mlp.down_proj"), "affine8/64") << "6 + 1";
  EXPECT_EQ(format_at("ud_q2", gemma, layer + "self_attn.q_proj"), "affine4/64");
  EXPECT_EQ(format_at("ud_q2_mxfp", gemma, layer + "self_attn.q_proj"), "mxfp44/32");
  EXPECT_EQ(format_at("ud_q2_mxfp", gemma, "language_model.model.embed_tokens"), "affine4/64") << "affine alone";
  EXPECT_EQ(format_at("ud_q3_mxfp", gemma, layer + "mlp.gate_proj"), "affine3/64");
  EXPECT_EQ(format_at("ud_mxfp8", gemma, layer + "mlp.gate_proj"), "mxfp88/32");
  EXPECT_EQ(format_at("ud_mxfp8", gemma, layer + "router.proj"), "affine8/64");
  EXPECT_EQ(format_at("ud2_mxfp8", gemma, layer + "self_attn.o_proj"), "affine8/64");
  EXPECT_EQ(format_at("ud_nvfp4", gemma, layer + "experts.switch_glu.up_proj"), "nvfp44/16");
}

TEST(MlxPresets, ALadderStepIsNeverSmallerThanTheOneBelow) {
  const ModuleTree gemma = test::gemma4_26b();
  for (const std::string kind : {"ud_q", "ud2_q"}) {
    int64_t below = 0;
    for (const int bits : {2, 3, 4, 5, 6, 8}) {
      const auto formats = formats_of(*find_preset(str(kind, bits)), gemma);
      int64_t bytes = 0;
      for (size_t i = 0; i < formats.size(); ++i) bytes += bytes_of(gemma.modules[i], formats[i]);
      EXPECT_GT(bytes, below) << kind << bits;
      below = bytes;
    }
  }
}

TEST(MlxPresets, MixturesGiveMoreToTheirLayers) {
  const ModuleTree gemma = test::gemma4_26b();
  std::set<int> more;
  for (int l = 0; l < 30; ++l)
    if (format_at("mixed_2_6", gemma, str("language_model.model.layers.", l, ".mlp.down_proj")) == "affine6/64")
      more.insert(l);
  EXPECT_EQ(more, (std::set<int>{0, 1, 2, 5, 8, 11, 14, 17, 20, 23, 26, 27, 28, 29}));
}

TEST(MlxPresets, RowsThatNoGroupFillsStayUnquantized) {
  const PresetModule odd{"model.layers.0.mlp.down_proj", 96}, even{"model.layers.0.mlp.up_proj", 128};
  const PresetModule modules[] = {odd, even};
  const auto affine = preset_formats(*find_preset("mlx_4bit"), modules);
  EXPECT_FALSE(affine[0]);
  EXPECT_EQ(affine[1], FormatId::mlx_q4_g64);
  const auto groups_of_32 = preset_formats(*find_preset("fixed_mxfp4"), modules);
  EXPECT_EQ(groups_of_32[0], FormatId::mlx_mxfp4);
}

TEST(MlxPresets, RoutersOfTheStandardAreAsTheirClassesSay) {
  const std::string layer = "model.layers.0.";
  const auto router_of = [&](const std::string& router, const std::string& beside) {
    const std::string path = layer + router, other = layer + beside;
    const PresetModule modules[] = {{path, 64}, {other, 64}};
    return text_of(preset_formats(*find_preset("mlx_4bit"), modules)[0]);
  };
  EXPECT_EQ(router_of("mlp.gate", "mlp.switch_mlp.up_proj"), "affine8/64") << "qwen3_moe";
  EXPECT_EQ(router_of("mlp.gate", "mlp.shared_expert.up_proj"), "affine4/64") << "qwen2_moe";
  EXPECT_EQ(router_of("mlp.router", "mlp.experts.up_proj"), "affine8/64") << "gpt_oss";
  EXPECT_EQ(router_of("block_sparse_moe.gate", "self_attn.q_proj"), "affine4/64") << "mixtral";
  EXPECT_EQ(router_of("mlp.gate_proj", "mlp.up_proj"), "affine4/64") << "no router";
}

TEST(MlxPresets, NamesAreDifferentAndFoundWhateverTheirCase) {
  std::set<std::string> names;
  for (const Preset& preset : presets()) {
    EXPECT_TRUE(names.insert(preset.name).second) << preset.name;
    EXPECT_TRUE(preset.alias.empty() || names.insert(preset.alias).second) << preset.alias;
    EXPECT_EQ(find_preset(preset.name), &preset);
  }
  EXPECT_EQ(find_preset("UD_MXFP4"), find_preset("ud_q4_mxfp"));
  EXPECT_EQ(find_preset(""), nullptr);
  EXPECT_EQ(find_preset("q4_k_m"), nullptr);
}

}  // namespace
}  // namespace snug::mlx
