#include "recipe/export.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <regex>
#include <set>
#include <sstream>

#include "base/str.hpp"
#include "recipe/recipe_fixture.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

using test::random_recipe;

/// The formats whose patterns match a name, as the converters look: a search with ECMAScript's rules.
std::vector<FormatId> formats_for(const std::vector<std::pair<std::regex, FormatId>>& patterns,
                                  const std::string& name) {
  std::vector<FormatId> found;
  for (const auto& [pattern, format] : patterns)
    if (std::regex_search(name, pattern)) found.push_back(format);
  return found;
}

std::vector<std::pair<std::regex, FormatId>> compiled(const std::vector<TypePattern>& patterns) {
  std::vector<std::pair<std::regex, FormatId>> regexes;
  for (const TypePattern& p : patterns) regexes.emplace_back(std::regex{p.pattern}, p.format);
  return regexes;
}

/// Formats that both converters know.
Recipe convertible(uint64_t seed, int layers) {
  Recipe recipe = random_recipe(seed, layers);
  for (RecipeTensor& t : recipe.tensors)
    if (t.format == FormatId::q2_0) t.format = FormatId::q5_K;
  return recipe;
}

RecipeTensor tensor(std::string name, FormatId format, bool copied = false) {
  return {std::move(name), format, 64, 0.5, copied};
}

std::string complaint(std::vector<RecipeTensor> tensors, const char* target, std::string imatrix = {}) {
  Recipe recipe;
  recipe.imatrix_digest = std::move(imatrix);
  recipe.tensors = std::move(tensors);
  try {
    type_patterns(recipe, find_target(target));
    return {};
  } catch (const Error& error) {
    return error.what();
  }
}

TEST(Export, EveryTensorIsMatchedByThePatternOfItsFormatAndNoOther) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    SCOPED_TRACE(seed);
    const Recipe recipe = convertible(seed, 1 + static_cast<int>(seed) * 2);
    for (const Target& target : targets()) {
      if (target.syntax == ExportSyntax::none) continue;
      const auto patterns = compiled(type_patterns(recipe, target));
      for (const RecipeTensor& t : recipe.tensors) {
        const auto found = formats_for(patterns, t.name);
        if (t.copied)
          EXPECT_TRUE(found.empty()) << t.name;
        else
          EXPECT_EQ(found, std::vector{t.format}) << t.name;
      }
    }
  }
}

TEST(Export, PatternsMatchNothingBesideTheirTensors) {
  Recipe recipe;
  recipe.tensors = {
      tensor("output.weight", FormatId::q6_K), tensor("blk.1.attn_output.weight", FormatId::q4_K),
      tensor("blk.12.attn_output.weight", FormatId::q5_K), tensor("blk.1.ffn_up.weight", FormatId::q4_K)};
  for (const Target& target : targets()) {
    if (target.syntax == ExportSyntax::none) continue;
    const auto patterns = compiled(type_patterns(recipe, target));
    for (const char* other :
         {"blk.2.attn_output.weight", "blk.112.attn_output.weight", "blk.1.attn_outputs.weight",
          "blk.1.ffn_up_exps.weight", "blk.1xffn_up.weight", "v.blk.1.ffn_up.weight",
          "blk.1.ffn_up.weight.scale", "xoutput.weight", "outputxweight"})
      EXPECT_TRUE(formats_for(patterns, other).empty()) << other;
  }
}

TEST(Export, LayersOfOneFormatShareAPattern) {
  Recipe recipe;
  for (int layer = 0; layer < 12; ++layer)
    recipe.tensors.push_back(
        tensor(str("blk.", layer, ".ffn_down.weight"), layer % 5 ? FormatId::q4_K : FormatId::q6_K));
  recipe.tensors.push_back(tensor("blk.3.attn_q.weight", FormatId::iq3_s));
  EXPECT_EQ(export_recipe(recipe, *export_target("llama.cpp")),
            "^blk\\.3\\.attn_q\\.weight$=iq3_s\n"
            "^blk\\.(1|2|3|4|6|7|8|9|11)\\.ffn_down\\.weight$=q4_K\n"
            "^blk\\.(0|5|10)\\.ffn_down\\.weight$=q6_K\n");
  EXPECT_EQ(export_recipe(recipe, *export_target("ik_llama.cpp")),
            "^blk\\.3\\.attn_q\\.weight$=iq3_s,^blk\\.(1|2|3|4|6|7|8|9|11)\\.ffn_down\\.weight$=q4_K,"
            "^blk\\.(0|5|10)\\.ffn_down\\.weight$=q6_K\n");
}

TEST(Export, MergedPatternsStayFarFewerThanTensors) {
  const Recipe recipe = convertible(3, 80);
  EXPECT_LT(type_patterns(recipe, find_target("llama.cpp")).size(), recipe.tensors.size() / 8);
}

TEST(Export, WhatTheConvertersParseHoldsNoneOfTheirSeparators) {
  const Recipe recipe = convertible(4, 30);
  std::istringstream words{export_recipe(recipe, *export_target("llama.cpp"))};
  size_t lines = 0;
  for (std::string word; words >> word; ++lines) {
    EXPECT_EQ(std::ranges::count(word, '='), 1) << word;
    EXPECT_TRUE(std::ranges::none_of(word.substr(0, word.find('=')), [](char c) {
      return c >= 'A' && c <= 'Z';
    })) << word;
  }
  EXPECT_EQ(lines, type_patterns(recipe, find_target("llama.cpp")).size());
  std::istringstream rules{export_recipe(recipe, *export_target("ik_llama.cpp"))};
  size_t count = 0;
  for (std::string rule; std::getline(rules, rule, ','); ++count)
    EXPECT_EQ(std::ranges::count(rule, '='), 1) << rule;
  EXPECT_EQ(count, lines);
}

TEST(Export, OddNamesAreEscapedOrRefused) {
  Recipe recipe;
  recipe.tensors = {tensor("a+b.(c)[d]{2}|^$*?\\.weight", FormatId::q4_K),
                    tensor("blk.007.ffn_up.weight", FormatId::q5_K),
                    tensor("blk.7.ffn_up.weight", FormatId::q6_K),
                    tensor("blk.x.ffn_up.weight", FormatId::q3_K),
                    tensor("blk.99999999999.ffn_up.weight", FormatId::q2_K),
                    tensor("blk.", FormatId::q8_0)};
  const auto patterns = compiled(type_patterns(recipe, find_target("llama.cpp")));
  for (const RecipeTensor& t : recipe.tensors)
    EXPECT_EQ(formats_for(patterns, t.name), std::vector{t.format}) << t.name;
  for (const char* name : {"a=b.weight", "a,b.weight", "a b.weight", "a\nb.weight", "a'b.weight"})
    EXPECT_NE(complaint({tensor(name, FormatId::q4_K)}, "llama.cpp"), "") << name;
}

TEST(Export, CapitalsAreMatchedThoughLlamaQuantizeLowersThem) {
  Recipe recipe;
  recipe.tensors = {tensor("blk.0.ffn_Down.weight", FormatId::q4_K),
                    tensor("blk.0.ffn_up.weight", FormatId::q5_K)};
  for (const TypePattern& p : type_patterns(recipe, find_target("llama.cpp")))
    EXPECT_TRUE(std::ranges::none_of(p.pattern, [](char c) { return c >= 'A' && c <= 'Z'; })) << p.pattern;
  const auto patterns = compiled(type_patterns(recipe, find_target("llama.cpp")));
  for (const RecipeTensor& t : recipe.tensors)
    EXPECT_EQ(formats_for(patterns, t.name), std::vector{t.format}) << t.name;
  const std::vector twins{tensor("a.X.weight", FormatId::q4_K), tensor("a.x.weight", FormatId::q5_K)};
  EXPECT_NE(complaint(twins, "llama.cpp").find("cannot tell"), std::string::npos);
  EXPECT_EQ(complaint(twins, "ik_llama.cpp"), "");
}

TEST(Export, AFormatThatTheTargetLacksIsNamed) {
  const std::string text =
      complaint({tensor("blk.0.ffn_up.weight", FormatId::q2_0)}, "ik_llama.cpp");
  EXPECT_NE(text.find("no q2_0"), std::string::npos) << text;
  EXPECT_EQ(complaint({tensor("blk.0.ffn_up.weight", FormatId::q2_0)}, "llama.cpp"), "");
}

TEST(Export, CopiedMatricesAreNamedSoTheyStayAsTheyAre) {
  Recipe recipe;
  recipe.tensors = {tensor("blk.0.ffn_up.weight", FormatId::f16, true),
                    tensor("blk.0.ffn_norm.weight", FormatId::f32, true),
                    tensor("blk.0.ffn_gate_inp.weight", FormatId::f32, true),
                    tensor("rope_freqs.bias", FormatId::f32, true)};
  EXPECT_EQ(export_recipe(recipe, *export_target("llama.cpp")), "^blk\\.0\\.ffn_up\\.weight$=f16\n");
}

TEST(Export, TheCommandSaysTheSameAsTheFile) {
  Recipe recipe = convertible(5, 3);
  recipe.tensors.push_back(tensor("output.weight", FormatId::q6_K));
  recipe.imatrix_digest = std::string(32, 'a');
  recipe.tensor_bytes = 45;
  recipe.weights = 80;
  const std::string with_file = export_command(recipe, *export_target("llama.cpp"), "it's.txt");
  EXPECT_NE(with_file.find("--imatrix IMATRIX"), std::string::npos) << with_file;
  EXPECT_NE(with_file.find("--tensor-type-file 'it'\\''s.txt' MODEL OUT q4_k_m\n"), std::string::npos)
      << with_file;
  EXPECT_NE(with_file.find("--output-tensor-type q6_K"), std::string::npos) << with_file;
  const std::string spelled = export_command(recipe, *export_target("llama.cpp"), "");
  for (const TypePattern& p : type_patterns(recipe, find_target("llama.cpp")))
    EXPECT_NE(spelled.find(str("--tensor-type '", p.pattern, "=", format_name(p.format), "'")),
              std::string::npos);
  EXPECT_EQ(export_command(recipe, *export_target("csv"), ""), "");

  recipe.imatrix_digest.clear();
  recipe.tensor_bytes = 25;  // 2.5 bits: an i-quant label would ask for an imatrix
  EXPECT_NE(export_command(recipe, *export_target("ik_llama.cpp"), "r").find("MODEL OUT q8_0\n"),
            std::string::npos);
}

TEST(Export, CsvQuotesWhatNeedsIt) {
  Recipe recipe;
  recipe.tensors = {tensor("a,\"b\"", FormatId::q4_K), tensor("c", FormatId::f32, true)};
  EXPECT_EQ(export_recipe(recipe, *export_target("csv")),
            "name,format,bytes,loss,copied\n\"a,\"\"b\"\"\",q4_K,64,0.5,false\nc,f32,64,0.5,true\n");
}

TEST(Export, CsvLeavesAnUnknownLossEmpty) {
  Recipe recipe;
  recipe.loss_known = false;
  recipe.tensors = {tensor("c", FormatId::q4_K)};
  EXPECT_EQ(export_recipe(recipe, *export_target("csv")), "name,format,bytes,loss,copied\nc,q4_K,64,,false\n");
}

TEST(Export, JsonIsTheRecipeItself) {
  const Recipe recipe = random_recipe(6);
  EXPECT_EQ(parse_recipe(export_recipe(recipe, *export_target("json")), "r.json"), recipe);
}

TEST(Export, TargetsAreKnownByName) {
  for (const std::string& name : export_names()) EXPECT_TRUE(export_target(name)) << name;
  EXPECT_EQ(export_target("ik_llama.cpp")->target, &find_target("ik_llama.cpp"));
  EXPECT_FALSE(export_target("mlx"));
}

/// What llama-quantize refuses or aborts on, and what it takes (reports of just that are many).
TEST(Export, WithoutImportanceWhatTheTargetCannotEncodeIsRefused) {
  const auto layer = [](FormatId id) { return std::vector{tensor("blk.0.ffn_up.weight", id)}; };
  const auto embeddings = [](FormatId id) { return std::vector{tensor("token_embd.weight", id)}; };
  for (const FormatId id : {FormatId::iq1_s, FormatId::iq1_m, FormatId::iq2_xxs, FormatId::iq2_xs, FormatId::iq2_s}) {
    for (const char* target : {"llama.cpp", "ik_llama.cpp"}) {
      const std::string text = complaint(layer(id), target);
      EXPECT_NE(text.find("'blk.0.ffn_up.weight'"), std::string::npos) << text;
      EXPECT_NE(text.find(format_name(id)), std::string::npos) << text;
      EXPECT_EQ(complaint(layer(id), target, "abc"), "") << format_name(id);
    }
  }
  EXPECT_NE(complaint(layer(FormatId::iq3_xxs), "llama.cpp"), "");
  EXPECT_EQ(complaint(layer(FormatId::iq3_xxs), "ik_llama.cpp"), "");
  EXPECT_EQ(complaint(layer(FormatId::q2_K), "llama.cpp"), "");
  EXPECT_EQ(complaint(embeddings(FormatId::iq2_s), "llama.cpp"), "");
  EXPECT_NE(complaint(embeddings(FormatId::iq2_xs), "llama.cpp"), "");
  const std::vector per_layer{tensor("per_layer_token_embd.weight", FormatId::iq2_s)};
  EXPECT_EQ(complaint(per_layer, "llama.cpp"), "");
  EXPECT_NE(complaint(per_layer, "ik_llama.cpp"), "");
}

TEST(Export, ATensorThatTheImatrixLeavesOutHasNoImportance) {
  std::vector tensors{tensor("token_embd.weight", FormatId::iq1_s)};
  tensors[0].unweighted = true;
  EXPECT_NE(complaint(tensors, "llama.cpp", "abc").find("the imatrix has none"), std::string::npos);
  tensors[0].format = FormatId::iq2_s;
  EXPECT_EQ(complaint(tensors, "llama.cpp", "abc"), "");
}

TEST(Export, ATargetsOwnNameOfAFormatIsUsed) {
  Recipe recipe;
  recipe.tensors = {tensor("token_embd.weight", FormatId::q1_0)};
  EXPECT_EQ(export_recipe(recipe, *export_target("ik_llama.cpp")), "^token_embd\\.weight$=q1_0_g128\n");
  EXPECT_EQ(export_recipe(recipe, *export_target("llama.cpp")), "^token_embd\\.weight$=q1_0\n");
  EXPECT_NE(export_command(recipe, *export_target("ik_llama.cpp"), "r").find("--token-embedding-type q1_0_g128"),
            std::string::npos);
}

/// llama-quantize's option counts for the embeddings of each layer, too, and goes before patterns.
TEST(Export, EmbeddingsOfEachLayerKeepTheirOwnFormat) {
  Recipe recipe;
  recipe.tensors = {tensor("token_embd.weight", FormatId::q6_K),
                    tensor("per_layer_token_embd.weight", FormatId::q4_K)};
  EXPECT_EQ(export_command(recipe, *export_target("llama.cpp"), "r").find("--token-embedding-type"),
            std::string::npos);
  recipe.tensors[1].format = FormatId::q6_K;
  EXPECT_NE(export_command(recipe, *export_target("llama.cpp"), "r").find("--token-embedding-type q6_K"),
            std::string::npos);
}

}  // namespace
}  // namespace snug
