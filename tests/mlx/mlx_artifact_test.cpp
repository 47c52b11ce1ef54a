#include "artifact/mlx_artifact.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "artifact/convert_model.hpp"
#include "artifact/quantize_model.hpp"
#include "base/files/read_file.hpp"
#include "base/str.hpp"
#include "encode/encode_tensor.hpp"
#include "mlx/wide_checkpoint.hpp"
#include "model/roles.hpp"
#include "plan/baseline_recipes.hpp"
#include "quant/mlx_modes.hpp"
#include "quant/planes.hpp"
#include "recipe/target.hpp"
#include "safetensors/checkpoint.hpp"
#include "snug/error.hpp"
#include "support/tiny_model.hpp"

namespace snug {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class MlxFolder : public testing::Test {
 protected:
  void save(const test::TinyCheckpoint& checkpoint) {
    fs::create_directory(source_);
    checkpoint.save(source_);
    std::ofstream{source_ / "chat_template.jinja"} << "{{ messages }}";
    std::ofstream{source_ / "notes.md"} << "not part of the model";
  }
  ModelSource model() const { return hf::open_checkpoint(source_); }
  WrittenModel convert() const { 
    ConvertOptions options;
    options.runtime = "mlx";
    return convert_model(model(), out_, options);
  }
  WrittenModel quantize(const Recipe& recipe, Existing existing = Existing::refuse) const {
    const ModelSource source = model();
    const WrittenModel written = quantize_model(source, nullptr, recipe, out_, existing);
    verify_written(source, nullptr, recipe, written);
    return written;
  }
  Recipe uniform(const std::string& format) const { return uniform_recipe(model(), format, "mlx"); }
  json config() const { return json::parse(read_file(out_ / "config.json")); }

  /// Every tensor of the output is, byte for byte, the one of that name in the source.
  void expect_same_as_source() const {
    const safetensors::Checkpoint source{source_}, written{out_};
    ASSERT_EQ(written.tensors().size(), source.tensors().size());
    for (const safetensors::Tensor& tensor : source.tensors()) {
      const safetensors::Tensor* got = written.find(tensor.name);
      ASSERT_NE(got, nullptr) << tensor.name;
      EXPECT_EQ(got->dtype, tensor.dtype) << tensor.name;
      EXPECT_EQ(got->shape, tensor.shape) << tensor.name;
      EXPECT_TRUE(std::ranges::equal(got->bytes, tensor.bytes)) << tensor.name;
    }
  }

  test::Scratch scratch_;
  fs::path source_ = scratch_ / "source", out_ = scratch_ / "out";
};

TEST_F(MlxFolder, OfAnUnquantizedLlamaHasTheCheckpointsTensors) {
  save(test::wide_llama(R"(,"attention_bias":true)")
           .add("model.layers.0.self_attn.q_proj.bias", {128})
           .add("model.layers.1.self_attn.k_proj.bias", {64}));
  convert();
  expect_same_as_source();
  EXPECT_FALSE(config().contains("quantization"));
}

TEST_F(MlxFolder, StoresGemmasNormsAsTheCheckpointDoes) {
  save(test::wide_gemma3(false));
  convert();
  expect_same_as_source();
}

TEST_F(MlxFolder, SaysWhatNewerConfigsSayInOtherWords) {
  save(test::wide_gemma3(true));
  convert();
  const json text = config()["text_config"];
  EXPECT_EQ(text["rope_theta"], 1e6);
  EXPECT_EQ(text["rope_local_base_freq"], 1e4);
  EXPECT_EQ(text["rope_scaling"]["type"], "linear");
  EXPECT_EQ(text["rope_scaling"]["factor"], 8.0);
  EXPECT_EQ(text["sliding_window_pattern"], 6);
  EXPECT_EQ(text["tie_word_embeddings"], true);
  EXPECT_FALSE(config().contains("vision_config"));
}

/// The bytes of one matrix, put together from its planes, are what the encoder makes of the checkpoint's own rows.
TEST_F(MlxFolder, HoldsTheCheckpointsRowsEncoded) {
  save(test::wide_llama());
  for (const char* name : {"mlx_q4_g64", "mlx_q3_g128", "mlx_mxfp4", "mlx_nvfp4"}) {
    SCOPED_TRACE(name);
    fs::remove_all(out_);
    quantize(uniform(name));
    const Format& format = *find_format(name);
    const safetensors::Checkpoint source{source_}, written{out_};
    const std::string path = "model.layers.0.self_attn.q_proj";
    const safetensors::Tensor& from = *source.find(path + ".weight");
    std::vector<std::byte> blocks(static_cast<size_t>(128 * format.row_bytes(128))), wanted(blocks.size());
    for (const Plane& plane : format.planes)
      join_plane(format, plane, written.find(str(path, ".", plane.name))->bytes, blocks);
    std::vector<float> weights(128 * 128);
    find_format(FormatId::bf16)->decode(from.bytes.data(), weights);
    const ColumnWeights columns{{}, {}, kAlongRow};
    encode_rows(format, {weights.data(), 128, 128}, columns, nullptr, Effort::normal, wanted);
    EXPECT_EQ(blocks, wanted);
  }
}

TEST_F(MlxFolder, PlansEveryByteOfRandomRecipes) {
  save(test::wide_qwen3moe());
  const ModelSource source = model();
  const MlxArtifact artifact{source};
  std::mt19937 random{1};
  const std::span<const TargetFormat> all = find_target("mlx").formats;
  for (int round = 0; round < 100; ++round) {
    SCOPED_TRACE(round);
    Recipe recipe = recipe_with(source, nullptr, "random", [&](size_t, const Tensor& tensor) {
      const FormatId drawn = all[random() % all.size()].id;
      const bool can_be = is_quantizable(tensor) && find_format(drawn)->fits(tensor.cols());
      return can_be && random() % 4 ? with_scales_of(drawn, tensor.format) : tensor.format;
    });
    recipe.runtime = "mlx";
    recipe.split_bytes = round % 3 ? 0 : 1 << 14;
    const FileLayout layout = artifact.layout(recipe);
    const WrittenModel written = quantize(recipe, Existing::replace);
    ASSERT_EQ(written.files.size(), layout.file_bytes.size());
    if (recipe.split_bytes > 0) {
      EXPECT_LE(std::ranges::max(layout.file_bytes), recipe.split_bytes);
    }
    int64_t sum = 0, least = artifact.fixed_bytes(recipe);
    for (size_t i = 0; i < written.files.size(); ++i) {
      EXPECT_EQ(static_cast<int64_t>(fs::file_size(written.files[i])), layout.file_bytes[i]);
      sum += layout.file_bytes[i];
    }
    for (const RecipeTensor& tensor : recipe.tensors) least += artifact.stored_bytes(tensor.format, tensor.bytes);
    EXPECT_EQ(layout.bytes, sum);
    EXPECT_EQ(written.bytes, sum);
    EXPECT_EQ(least, sum);
  }
}

TEST_F(MlxFolder, SaysTheFormatOfEveryModuleThatDiffersInWordsOfBothLoaders) {
  save(test::wide_llama());
  Recipe recipe = uniform("mlx_mxfp4");
  for (RecipeTensor& tensor : recipe.tensors) {
    const Tensor source = *model().find(tensor.name);
    if (tensor.name == "blk.0.attn_v.weight") tensor.format = FormatId::mlx_q6_g32;
    if (tensor.name == "output.weight") tensor = {"output.weight", FormatId::bf16, source.bytes(), 0, true};
  }
  quantize(recipe);
  const json block = config()["quantization"];
  EXPECT_EQ(block, config()["quantization_config"]);
  EXPECT_EQ(block["group_size"], 32);
  EXPECT_EQ(block["bits"], 4);
  EXPECT_EQ(block["mode"], "mxfp4");
  EXPECT_EQ(block.size(), 4u) << "one module differs; unquantized ones are not named";
  EXPECT_EQ(block["model.layers.0.self_attn.v_proj"], (json{{"group_size", 32}, {"bits", 6}, {"mode", "affine"}}));
}

TEST_F(MlxFolder, BringsTheTokenizerAndNothingElse) {
  save(test::wide_llama());
  const WrittenModel written = convert();
  EXPECT_TRUE(fs::exists(out_ / "chat_template.jinja"));
  EXPECT_TRUE(fs::exists(out_ / "model.safetensors.index.json"));
  EXPECT_FALSE(fs::exists(out_ / "notes.md"));
  EXPECT_EQ(written.companions.size(), 3u);
  EXPECT_EQ(json::parse(read_file(out_ / "model.safetensors.index.json"))["weight_map"].size(), 21u);
}

TEST_F(MlxFolder, IsReplacedOnlyWhereAskedAndOnlyByItsLike) {
  save(test::wide_llama());
  convert();
  EXPECT_THROW(convert(), Error);
  quantize(uniform("mlx_q4_g64"), Existing::replace);
  EXPECT_TRUE(config().contains("quantization"));
  std::ofstream{out_ / "thesis.doc"} << "a year of work";
  EXPECT_THROW(quantize(uniform("mlx_q4_g64"), Existing::replace), Error);
  EXPECT_TRUE(fs::exists(out_ / "thesis.doc"));
  EXPECT_THROW(quantize_model(model(), nullptr, uniform("mlx_q4_g64"), source_, Existing::replace), Error);
}

TEST_F(MlxFolder, AppearsWholeOrNotAtAll) {
  save(test::wide_llama());
  const ModelSource source = model();
  const Recipe recipe = uniform("mlx_q4_g64");
  {
    const auto writer = MlxArtifact{source}.open(recipe, out_, Existing::refuse);
    EXPECT_FALSE(fs::exists(out_));
    EXPECT_THROW(writer->commit(), Error) << "no row was written";
  }
  for (const auto& entry : fs::directory_iterator{scratch_.path()}) EXPECT_EQ(entry.path(), source_);
}

TEST_F(MlxFolder, VerifyingFindsAChangedByte) {
  save(test::wide_llama());
  const Recipe recipe = uniform("mlx_q8_g64");
  const WrittenModel written = quantize(recipe);
  std::fstream file{written.files.front(), std::ios::in | std::ios::out | std::ios::binary};
  file.seekp(-1, std::ios::end);  // in the last row of the head
  file.put('\x55');
  file.close();
  EXPECT_THROW(verify_written(model(), nullptr, recipe, written), Error);
}

TEST_F(MlxFolder, IsNotMadeOfAGguf) {
  EXPECT_THROW(MlxArtifact{open_model(test::tiny_model())}, Error);
}

}  // namespace
}  // namespace snug
