// Exported recipes carried out by the real llama.cpp's quantizer: every tensor gets the recipe's format, or export
// has said that it cannot.
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cstring>
#include <cstdlib>
#include <map>
#include <optional>
#include <random>
#include <sstream>

#include "base/str.hpp"
#include "interop/quantizer_models.hpp"
#include "interop/real_quantizer.hpp"
#include "model/roles.hpp"
#include "plan/baseline_recipes.hpp"
#include "recipe/export.hpp"
#include "recipe/format_names.hpp"
#include "recipe/presets.hpp"
#include "snug/error.hpp"
#include "support/scratch.hpp"

namespace snug {
namespace {

using test::QuantizerModel;
using test::QuantizeRequest;
using Types = std::map<std::string, std::string>;

const Target& llama_cpp() { return find_target("llama.cpp"); }

Types types_of(const Recipe& recipe) {
  Types types;
  for (const RecipeTensor& t : recipe.tensors) types[t.name] = format_name(t.format);
  return types;
}

uint32_t ggml_type(const std::string& name) { return static_cast<uint32_t>(*format_of_name(name)); }

/// The word behind an option of a command; empty without it.
std::string option(const std::string& command, const std::string& name) {
  const size_t at = command.find(" " + name + " ");
  if (at == command.npos) return {};
  std::istringstream words{command.substr(at + name.size() + 2)};
  std::string word;
  words >> word;
  return word;
}

/// What llama-quantize makes of the command and of the file that goes with it: it lowers patterns.
QuantizeRequest as_asked(const std::string& types_file, const std::string& command) {
  QuantizeRequest request;
  std::istringstream lines{types_file};
  for (std::string line; std::getline(lines, line);) {
    const size_t equals = line.rfind('=');
    std::string pattern = line.substr(0, equals);
    std::ranges::transform(pattern, pattern.begin(), [](unsigned char c) { return std::tolower(c); });
    request.overrides.emplace_back(pattern, ggml_type(line.substr(equals + 1)));
  }
  const std::string embeddings = option(command, "--token-embedding-type"),
                    output = option(command, "--output-tensor-type"),
                    label = option(command, "OUT");
  if (!embeddings.empty()) request.token_embedding = static_cast<int>(ggml_type(embeddings));
  if (!output.empty()) request.output = static_cast<int>(ggml_type(output));
  request.file_type = find_preset(label)->file_type;
  return request;
}

/// A format that fits for every tensor of the model, drawn.
Recipe drawn_recipe(const ModelSource& model, uint64_t seed) {
  std::mt19937_64 random{seed};
  Recipe recipe = recipe_with(model, nullptr, "drawn", [&](size_t, const Tensor& tensor) {
    if (!is_quantizable(tensor)) return tensor.format;
    for (;;) {
      const Format& format = formats()[random() % formats().size()];
      if (format.fits(tensor.cols())) return format.id;
    }
  });
  recipe.imatrix_digest = "some";
  return recipe;
}

class RealExports : public testing::Test {
 protected:
  void SetUp() override {
    const std::filesystem::path libraries = test::RealLlama::find_libraries();
    if (libraries.empty()) {
      ASSERT_EQ(std::getenv("SNUG_REQUIRE_LLAMA"), nullptr) << "tools/fetch_llama did not bring the libraries";
      GTEST_SKIP() << "the real llama.cpp is not here: run tools/fetch_llama (x86-64 Linux)";
    }
    static const test::RealLlama llama{libraries};
    quantizer_ = std::make_unique<test::RealQuantizer>(llama);
    llama_ = &llama;
  }

  static QuantizeRequest request_of(const Recipe& recipe) {
    const ExportTarget target = *export_target("llama.cpp");
    return as_asked(export_recipe(recipe, target), export_command(recipe, target, "types.txt"));
  }

  /// Importance for every tensor that the recipe's imatrix has something for.
  static void add_importance(QuantizeRequest& request, const Recipe& recipe, const ModelSource& model) {
    for (const RecipeTensor& t : recipe.tensors) {
      const Tensor& source = *model.find(t.name);
      if (!t.unweighted)
        request.importance[t.name] = std::vector<float>(static_cast<size_t>(source.cols() * source.experts()), 1);
    }
  }

  Types written_types(const Recipe& recipe, const ModelSource& model) {
    QuantizeRequest request = request_of(recipe);
    if (!recipe.imatrix_digest.empty()) add_importance(request, recipe, model);
    const std::filesystem::path out = scratch_ / "out.gguf";
    quantizer_->write(model.path(), out, request);
    Types types;
    for (const ModelSource written = open_model(out); const Tensor& t : written.tensors())
      types[std::string{t.name}] = format_name(t.format);
    return types;
  }

  std::filesystem::path make(const QuantizerModel& model) {
    const std::filesystem::path file = scratch_ / "model.gguf";
    test::write_quantizer_model(model, file);
    return file;
  }

  test::Scratch scratch_;
  const test::RealLlama* llama_ = nullptr;
  std::unique_ptr<test::RealQuantizer> quantizer_;
};

TEST_F(RealExports, GiveEveryTensorTheRecipesFormat) {
  uint64_t seed = 0;
  for (const std::string_view architecture : test::quantizer_architectures())
    for (const bool tied : {false, true}) {
      const ModelSource model = open_model(make({.architecture = architecture,
                                     .experts = seed % 4 ? 0u : 8u,
                                     .attention = QuantizerModel::Attention{static_cast<uint8_t>(seed % 3)},
                                     .tied = tied,
                                     .per_layer = seed % 2 == 0,
                                     .cols = seed % 5 ? 256 : 64}));
      const Recipe recipe = drawn_recipe(model, ++seed);
      SCOPED_TRACE(str(architecture, ", seed ", seed));
      QuantizeRequest request = request_of(recipe);
      add_importance(request, recipe, model);
      EXPECT_EQ(quantizer_->types(model.path(), request), types_of(recipe));
    }
}

TEST_F(RealExports, OfPresetsAreThePresets) {
  const ModelSource model = open_model(make({.architecture = "gemma4", .tied = true, .per_layer = true}));
  for (const Preset& preset : presets()) {
    Recipe recipe = preset_recipe(model, nullptr, std::string{preset.name});
    recipe.imatrix_digest = "some";
    QuantizeRequest request = request_of(recipe);
    add_importance(request, recipe, model);
    EXPECT_EQ(quantizer_->types(model.path(), request), types_of(recipe)) << preset.name;
  }
}

TEST_F(RealExports, AreWrittenWithTheImatrixOfTheRecipe) {
  const ModelSource model = open_model(make({.layers = 2, .experts = 4, .per_layer = true}));
  for (uint64_t seed = 100; seed < 103; ++seed) {
    const Recipe recipe = drawn_recipe(model, seed);
    EXPECT_EQ(written_types(recipe, model), types_of(recipe)) << seed;
  }
}

/// Either export refuses, or the quantizer carries it out.
TEST_F(RealExports, WithoutAnImatrixAreCarriedOutOrRefusedBefore) {
  const ModelSource model = open_model(make({.layers = 1, .per_layer = true}));
  int refused = 0, written = 0;
  for (uint64_t seed = 200; seed < 260; ++seed) {
    Recipe recipe = drawn_recipe(model, seed);
    recipe.imatrix_digest.clear();
    try {
      type_patterns(recipe, llama_cpp());
    } catch (const Error&) {
      ++refused;
      continue;
    }
    EXPECT_EQ(written_types(recipe, model), types_of(recipe)) << seed;
    ++written;
  }
  EXPECT_GT(refused, 0);
  EXPECT_GT(written, 0);
}

/// One tensor at a time, with an imatrix that has nothing for it and without any. Where the table says that the
/// library aborts, only its own word is asked.
TEST_F(RealExports, TheTableOfWhatNeedsImportanceIsTheLibrarys) {
  const ModelSource model = open_model(make({.layers = 1, .per_layer = true}));
  bool (*aborts)(int) = nullptr;
  void* symbol = llama_->symbol("ggml_quantize_requires_imatrix");
  std::memcpy(&aborts, &symbol, sizeof symbol);
  for (const Format& format : formats()) {
    const bool always = llama_cpp().find(format.id)->needs == NeedsImportance::always;
    EXPECT_EQ(aborts(static_cast<int>(format.id)), always) << format.name;
    for (const char* name : {"token_embd.weight", "per_layer_token_embd.weight", "output.weight",
                             "blk.0.attn_q.weight", "blk.0.ffn_down.weight"})
      for (const bool imatrix : {false, true}) {
        const bool needs = llama_cpp().needs_importance(name, format.id);
        const bool is_end = std::ranges::find(llama_cpp().ends, name) != llama_cpp().ends.end();
        if (always && is_end) continue;
        QuantizeRequest request{.file_type = 7, .overrides = {{str("^", name, "$"), static_cast<uint32_t>(format.id)}}};
        if (imatrix) request.importance["other"] = {1};
        const auto run = [&] { quantizer_->write(model.path(), scratch_ / "out.gguf", request); };
        if (needs)
          EXPECT_THROW(run(), std::runtime_error) << format.name << " " << name;
        else
          EXPECT_NO_THROW(run()) << format.name << " " << name;
      }
  }
}

/// The case of a real report: what llama-imatrix leaves out.
TEST_F(RealExports, AnImatrixWithoutTheEndsOfTheModelIsToldApart) {
  const ModelSource model = open_model(make({.layers = 2}));
  Recipe recipe = recipe_with(model, nullptr, "by hand", [](size_t, const Tensor& t) {
    return is_quantizable(t) ? FormatId::iq2_s : t.format;
  });
  recipe.imatrix_digest = "some";
  for (RecipeTensor& t : recipe.tensors) t.unweighted = t.name == "token_embd.weight" || t.name == "output.weight";
  EXPECT_EQ(written_types(recipe, model), types_of(recipe));
  for (RecipeTensor& t : recipe.tensors)
    if (t.name == "token_embd.weight") t.format = FormatId::iq2_xs;
  EXPECT_THROW(type_patterns(recipe, llama_cpp()), Error);
}

}  // namespace
}  // namespace snug
