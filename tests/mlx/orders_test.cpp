#include <gtest/gtest.h>

#include <set>

#include "encode/encode_tensor.hpp"
#include "mlx/limits.hpp"
#include "mlx/mlx_folder.hpp"
#include "mlx/other_checkpoints.hpp"
#include "mlx/shortcomings.hpp"
#include "mlx/wide_checkpoint.hpp"
#include "model/roles.hpp"
#include "plan/plan.hpp"

// Architectures whose rows or columns lie elsewhere in MLX: what is read back of a folder is what went in.
namespace snug {
namespace {

using test::MlxFolder;

struct Case {
  const char* name;
  test::TinyCheckpoint (*make)();
};
const Case kCases[] = {{"qwen3next", test::wide_qwen3next},
                       {"qwen35", test::wide_qwen35},
                       {"glm4moe", test::wide_glm4moe},
                       {"deepseek2", [] { return test::wide_deepseek(false); }},
                       {"deepseek3", [] { return test::wide_deepseek(true); }}};

class Orders : public MlxFolder, public testing::WithParamInterface<Case> {
 protected:
  void SetUp() override { save(GetParam().make()); }

  /// The numbers that a tensor has in a format, encoded as the writer encodes rows.
  static std::vector<float> in_format(const Tensor& tensor, FormatId id) {
    if (id == tensor.format) return tensor.values();
    const Format& format = *find_format(id);
    std::vector<float> all = tensor.values(), decoded(all.size());
    const int64_t rows = tensor.rows(), cols = tensor.cols();
    std::vector<std::byte> blocks(static_cast<size_t>(rows * format.row_bytes(cols)));
    encode_rows(format, {all.data(), rows, cols}, ColumnWeights{{}, {}, kAlongRow}, nullptr, Effort::normal,
                blocks);
    for (int64_t r = 0; r < rows; ++r)
      format.decode(blocks.data() + r * format.row_bytes(cols),
                    std::span{decoded}.subspan(static_cast<size_t>(r * cols), static_cast<size_t>(cols)));
    return decoded;
  }

  void expect_read_back(const Recipe& recipe, float tolerance) const {
    const ModelSource source = model(), back = hf::open_checkpoint(out_);
    for (const RecipeTensor& tensor : recipe.tensors) {
      SCOPED_TRACE(tensor.name);
      const std::vector<float> wanted = in_format(*source.find(tensor.name), tensor.format),
                               got = test::values(back, tensor.name);
      ASSERT_EQ(got.size(), wanted.size());
      for (size_t i = 0; i < got.size(); ++i)
        ASSERT_NEAR(got[i], wanted[i], tolerance * std::abs(wanted[i])) << i;
    }
  }
};

TEST_P(Orders, AnUnquantizedFolderReadsBackAsTheCheckpoint) {
  convert();
  // Logarithms of decays go there and back in f32; norms with 1 added are rounded to bf16.
  expect_read_back(copy_recipe(model()), 1.0f / 256);
}

TEST_P(Orders, AQuantizedFolderReadsBackAsEncoded) {
  for (const char* name : {"mlx_q4_g32", "mlx_q3_g64", "mlx_mxfp4"}) {
    SCOPED_TRACE(name);
    std::filesystem::remove_all(out_);
    const Recipe recipe = uniform(name);
    quantize(recipe);
    expect_read_back(recipe, 1.0f / 256);
  }
}

INSTANTIATE_TEST_SUITE_P(, Orders, testing::ValuesIn(kCases), [](const auto& one) { return one.param.name; });

TEST_F(MlxFolder, OfQwen35IsAPartOfAWholeModel) {
  save(test::wide_qwen35());
  convert();
  EXPECT_EQ(config()["model_type"], "qwen3_5");
  EXPECT_EQ(config()["text_config"]["model_type"], "qwen3_5_text");
  EXPECT_EQ(config()["text_config"]["rope_parameters"]["type"], "default");
  const safetensors::Checkpoint written{out_};
  const std::string net = "language_model.model.layers.0.linear_attn.";
  EXPECT_EQ(written.find(net + "conv1d.weight")->shape, (std::vector<int64_t>{192, 4, 1}));
  EXPECT_EQ(written.find(net + "A_log")->dtype, safetensors::Dtype::f32);
  EXPECT_NE(written.find("language_model.lm_head.weight"), nullptr);
}

TEST_F(MlxFolder, OfQwen3NextHasQueriesKeysValuesAndGatesInOneModule) {
  save(test::wide_qwen3next());
  const ModelSource model = this->model();
  const std::vector<mlx::Module> modules = mlx::modules_of(model);
  const mlx::Limits limits{modules};
  EXPECT_EQ(limits.joined(),
            (std::vector<std::vector<std::string>>{{"blk.0.attn_qkv.weight", "blk.0.attn_gate.weight"}}));
  convert();
  const safetensors::Checkpoint source{source_}, written{out_};
  const std::string name = "model.layers.0.linear_attn.in_proj_qkvz.weight";
  EXPECT_TRUE(std::ranges::equal(written.find(name)->bytes, source.find(name)->bytes));
}

TEST_F(MlxFolder, OfQwen3NextRefusesTwoFormatsOfOneModule) {
  save(test::wide_qwen3next());
  Recipe recipe = uniform("mlx_q4_g32");
  std::ranges::find(recipe.tensors, "blk.0.attn_gate.weight", &RecipeTensor::name)->format =
      FormatId::mlx_q4_g64;
  EXPECT_THROW(quantize(recipe), Error);
}

/// Losses that would give the two tensors of one module different formats if they could have them.
Profile profile_of(const ModelSource& model) {
  Profile profile;
  for (const Tensor& tensor : model.tensors()) {
    if (!is_quantizable(tensor)) {
      profile.fixed.push_back({std::string{tensor.name}, tensor.format, tensor.weights(), tensor.bytes()});
      continue;
    }
    ProfiledTensor& profiled = profile.tensors.emplace_back();
    profiled.name = tensor.name;
    profiled.cols = tensor.cols();
    profiled.rows = tensor.rows();
    profiled.source = tensor.format;
    const int64_t weight = tensor.name.find("attn_gate") == tensor.name.npos ? 1 : 1000;
    for (const FormatId id :
         {FormatId::mlx_q2_g32, FormatId::mlx_q4_g32, FormatId::mlx_q8_g32, tensor.format})
      if (const Format& format = *find_format(id); format.fits(tensor.cols()))
        profiled.candidates.push_back({id, format.row_bytes(tensor.cols()) * tensor.rows(), 0, 0,
                                       weight * (20 - static_cast<int64_t>(format.bits_per_weight()))});
  }
  return profile;
}

TEST_F(MlxFolder, OfQwen3NextIsPlannedWithOneFormatOfOneModule) {
  save(test::wide_qwen3next());
  const ModelSource model = this->model();
  const Profile profile = profile_of(model);
  PlanOptions options;
  options.runtime = "mlx";
  std::set<FormatId> seen;
  for (const int64_t size : {60'000, 70'000, 80'000, 100'000, 120'000}) {
    options.budget = Budget::of_file(size);
    const Recipe recipe = Planner{profile, planned_model(model, nullptr, "mlx"), options}.plan().recipe;
    EXPECT_LE(recipe.file_bytes, size);
    const auto format_of = [&](std::string_view name) {
      return std::ranges::find(recipe.tensors, name, &RecipeTensor::name)->format;
    };
    EXPECT_EQ(format_of("blk.0.attn_qkv.weight"), format_of("blk.0.attn_gate.weight"));
    seen.insert(format_of("blk.0.attn_gate.weight"));
  }
  EXPECT_GT(seen.size(), 1u);
}

/// Groups of 64 would reach over two value heads of 32, which lie elsewhere in MLX.
TEST_F(MlxFolder, OfQwen35KeepsGroupsWithinValueHeads) {
  save(test::wide_qwen35());
  const Recipe recipe = uniform("mlx_q4_g64");
  EXPECT_EQ(std::ranges::find(recipe.tensors, "blk.0.ssm_out.weight", &RecipeTensor::name)->format,
            FormatId::mlx_q4_g32);
  EXPECT_EQ(std::ranges::find(recipe.tensors, "blk.0.attn_qkv.weight", &RecipeTensor::name)->format,
            FormatId::mlx_q4_g64);
}

/// mlx_lm has one matrix of both, one of them transposed.
TEST_F(MlxFolder, OfDeepSeek2LeavesTheLatentsMatrixUnquantized) {
  save(test::wide_deepseek(false));
  quantize(uniform("mlx_q4_g32"));
  const safetensors::Checkpoint source{source_}, written{out_};
  const std::string name = "model.layers.1.self_attn.kv_b_proj.weight";
  EXPECT_TRUE(std::ranges::equal(written.find(name)->bytes, source.find(name)->bytes));
  EXPECT_EQ(config()["rope_scaling"]["factor"], 1.0);
}

TEST(Shortcomings, OfMlxLmAreSaid) {
  const auto of = [](const std::string& more) {
    return mlx::shortcomings(
        test::TinyCheckpoint{test::wide_qwen3moe()}
            .config(str(R"({"architectures":["Qwen3MoeForCausalLM"],"model_type":"qwen3_moe","vocab_size":40,
    "hidden_size":64,"intermediate_size":96,"num_hidden_layers":1,"num_attention_heads":2,"num_key_value_heads":1,
    "head_dim":32,"num_experts":3,"num_experts_per_tok":2,"moe_intermediate_size":32,"norm_topk_prob":true)",
                        more, "}"))
            .open());
  };
  EXPECT_TRUE(of("").empty());
  const auto said =
      of(R"(,"rope_scaling":{"rope_type":"yarn","factor":4.0,"original_max_position_embeddings":64})");
  ASSERT_EQ(said.size(), 1u);
  EXPECT_NE(said[0].find("yarn"), said[0].npos);
  EXPECT_TRUE(mlx::shortcomings(test::wide_llama().open()).empty());
}

TEST_F(MlxFolder, OfDeepSeek3QuantizesBothHalvesOfTheLatentsMatrix) {
  save(test::wide_deepseek(true));
  quantize(uniform("mlx_q4_g32"));
  const safetensors::Checkpoint written{out_};
  EXPECT_NE(written.find("model.layers.1.self_attn.embed_q.scales"), nullptr);
  EXPECT_NE(written.find("model.layers.1.self_attn.unembed_out.scales"), nullptr);
  EXPECT_EQ(written.find("model.layers.1.mlp.gate.e_score_correction_bias")->dtype, safetensors::Dtype::f32);
}

}  // namespace
}  // namespace snug
