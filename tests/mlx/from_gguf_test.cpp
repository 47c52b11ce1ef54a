#include <gtest/gtest.h>

#include "mlx/from_gguf/config.hpp"
#include "mlx/from_gguf/tokenizer.hpp"
#include "mlx/from_gguf/vocabulary.hpp"
#include "mlx/mlx_folder.hpp"
#include "mlx/other_checkpoints.hpp"
#include "mlx/wide_checkpoint.hpp"
#include "model/roles.hpp"
#include "plan/nearest_recipe.hpp"
#include "snug/error.hpp"
#include "support/gguf_bytes.hpp"
#include "support/tiny_model.hpp"

// Folders of MLX made of GGUF files, which have neither config.json nor tokenizer.json.
namespace snug {
namespace {

using test::json;
using test::MlxFolder;
namespace fs = std::filesystem;

class FromGguf : public MlxFolder {
 protected:
  const fs::path gguf_ = scratch_ / "model.gguf", direct_ = scratch_ / "direct";

  /// The checkpoint as a folder of MLX, straight and by way of a GGUF file.
  void convert_both(const test::TinyCheckpoint& checkpoint) {
    save(checkpoint);
    ConvertOptions options;
    convert_model(model(), gguf_, options);
    options.runtime = "mlx";
    convert_model(model(), direct_, options);
    convert_model(open_model(gguf_), out_, options);
  }

  void expect_same_weights() const {
    const safetensors::Checkpoint direct{direct_}, made{out_};
    ASSERT_EQ(made.tensors().size(), direct.tensors().size());
    for (const safetensors::Tensor& tensor : direct.tensors()) {
      const safetensors::Tensor* got = made.find(tensor.name);
      ASSERT_NE(got, nullptr) << tensor.name;
      EXPECT_EQ(got->shape, tensor.shape) << tensor.name;
      EXPECT_TRUE(std::ranges::equal(got->bytes, tensor.bytes)) << tensor.name;
    }
  }
};

TEST_F(FromGguf, HasTheWeightsOfTheCheckpoint) {
  for (const auto& [name, checkpoint] : test::wide_models(false)) {
    SCOPED_TRACE(name);
    for (const fs::path& old : {source_, direct_, out_, gguf_}) fs::remove_all(old);
    convert_both(checkpoint);
    expect_same_weights();
  }
}

TEST_F(FromGguf, SaysLlama3sStretchAgain) {
  convert_both(test::wide_llama(
      R"(,"max_position_embeddings":131072,"rope_theta":500000.0,"rope_scaling":{"rope_type":"llama3",
    "factor":32.0,"low_freq_factor":1.0,"high_freq_factor":4.0,"original_max_position_embeddings":8192})"));
  const json scaling = config()["rope_scaling"];
  EXPECT_EQ(scaling["rope_type"], "llama3");
  EXPECT_FLOAT_EQ(scaling["factor"], 32);
  EXPECT_EQ(scaling["original_max_position_embeddings"], 8192);
  EXPECT_EQ(config()["rope_theta"], 500000);
}

TEST_F(FromGguf, SaysNumbersInTheDigitsTheyWereGivenIn) {
  convert_both(test::wide_llama(R"(,"rms_norm_eps":1e-05,"rope_theta":10000.0)"));
  EXPECT_EQ(config()["rms_norm_eps"], 1e-5);
  EXPECT_EQ(config()["num_key_value_heads"], 1);
  EXPECT_EQ(config()["head_dim"], 64);
}

TEST_F(FromGguf, RefusesRotationsThatConfigsCannotSay) {
  test::GgufBytes file;
  file.key("general.architecture", "llama")
      .key_u32("llama.block_count", 1)
      .key_u32("llama.attention.head_count", 2);
  file.key_u32("llama.embedding_length", 128);
  file.f32("token_embd.weight", {128, 2}, std::vector<float>(256, 1));
  file.f32("rope_freqs.weight", {4}, {1, 7, 2, 9});
  file.save(scratch_ / "odd.gguf");
  const ModelSource odd = open_model(scratch_ / "odd.gguf");
  EXPECT_THROW(mlx::config_of_keys(odd), Error);
}

/// Blocks that MLX has no format for are encoded anew; those that it has one for may stay.
TEST_F(FromGguf, OfQuantizedTensorsIsPlannedWithinTheBudget) {
  save(test::wide_llama());
  const Recipe mixed = recipe_with(model(), nullptr, "mixed", [](size_t, const Tensor& tensor) {
    if (!is_quantizable(tensor)) return tensor.format;
    return tensor.cols() % 256 == 0                         ? FormatId::q6_K
           : tensor.name.find("attn_v") == tensor.name.npos ? FormatId::q8_0
                                                            : FormatId::q4_1;
  });
  quantize_model(model(), nullptr, mixed, gguf_, Existing::refuse);
  const ModelSource source = open_model(gguf_);
  const Recipe nearest = nearest_recipe(source, copy_recipe(source), "mlx", Budget::of_file(320'000));
  const auto format_of = [&](std::string_view name) {
    return std::ranges::find(nearest.tensors, name, &RecipeTensor::name)->format;
  };
  EXPECT_EQ(format_of("blk.0.attn_v.weight"), FormatId::q4_1);
  EXPECT_EQ(find_format(format_of("blk.0.ffn_down.weight"))->family, Family::mlx);
  const WrittenModel written = quantize_model(source, nullptr, nearest, out_, Existing::refuse);
  EXPECT_EQ(written.bytes, nearest.file_bytes);
  EXPECT_LE(written.bytes, 320'000);
  const ModelSource back = hf::open_checkpoint(out_);
  EXPECT_EQ(test::values(back, "blk.0.attn_v.weight"), test::values(source, "blk.0.attn_v.weight"));
}

/// The tokens of tiny_model() through tokenizer.json and back are the same to llama.cpp.
TEST_F(FromGguf, ATokenizerReadsBackAsTheKeysHadIt) {
  const ModelSource tiny = open_model(test::tiny_model());
  ConvertOptions options;
  options.runtime = "mlx";
  convert_model(tiny, out_, options);
  const ModelSource back = hf::open_checkpoint(out_);
  const Metadata &wanted = tiny.metadata(), &got = back.metadata();
  EXPECT_EQ(got.text("tokenizer.ggml.model"), wanted.text("tokenizer.ggml.model"));
  EXPECT_EQ(got.strings("tokenizer.ggml.tokens"), wanted.strings("tokenizer.ggml.tokens"));
  std::vector<int64_t> kinds = wanted.integers("tokenizer.ggml.token_type");
  std::ranges::replace(kinds, 2, 3);  // the unknown token is a special one in tokenizer.json
  EXPECT_EQ(got.integers("tokenizer.ggml.token_type"), kinds);
  for (const char* role : {"bos", "eos", "unknown"})
    EXPECT_EQ(got.integer(str("tokenizer.ggml.", role, "_token_id")),
              wanted.integer(str("tokenizer.ggml.", role, "_token_id")))
        << role;
}

/// A vocabulary of which the best score is not the shortest token.
ModelSource with_pieces(const fs::path& file) {
  test::GgufBytes bytes;
  bytes.key("general.architecture", "llama").key("tokenizer.ggml.model", "llama");
  std::string tokens, scores, kinds;
  for (const char* token : {"<unk>", "a", "b", "ab", "abb", "bb"}) tokens += test::GgufBytes::text(token);
  for (const float score : {0.f, -9.f, -9.f, -2.f, -3.f, -1.f}) scores += test::GgufBytes::le(score);
  for (const int32_t kind : {2, 1, 1, 1, 1, 1}) kinds += test::GgufBytes::le(kind);
  const auto add = [&](const char* key, uint32_t element, const std::string& values) {
    bytes.key(key, 9, test::GgufBytes::le(element) + test::GgufBytes::le(uint64_t{6}) + values);
  };
  add("tokenizer.ggml.tokens", 8, tokens);
  add("tokenizer.ggml.scores", 6, scores);
  add("tokenizer.ggml.token_type", 5, kinds);
  bytes.f32("token_embd.weight", {1}, {0});
  bytes.save(file);
  return open_model(file);
}

TEST_F(FromGguf, PairsJoinInTheOrderOfTheScoresOfWhatTheyMake) {
  const ModelSource model = with_pieces(scratch_ / "pieces.gguf");
  const mlx::Vocabulary vocabulary{model};
  using Pair = std::pair<std::string_view, std::string_view>;
  EXPECT_EQ(mlx::merges_of_scores(vocabulary),
            (std::vector<Pair>{{"b", "b"}, {"a", "b"}, {"a", "bb"}, {"ab", "b"}}));
}

}  // namespace
}  // namespace snug
