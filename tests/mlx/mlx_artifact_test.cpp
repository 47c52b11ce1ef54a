#include "artifact/mlx_artifact.hpp"

#include <gtest/gtest.h>

#include <fstream>

#include "base/files/read_file.hpp"
#include "base/str.hpp"
#include "encode/encode_tensor.hpp"
#include "mlx/mlx_folder.hpp"
#include "mlx/wide_checkpoint.hpp"
#include "quant/planes.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

using test::json;
using test::MlxFolder;
namespace fs = std::filesystem;

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

}  // namespace
}  // namespace snug
