#include "mlx/modules.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>

#include "mlx/wide_checkpoint.hpp"
#include "snug/error.hpp"
#include "support/gguf_bytes.hpp"

namespace snug::mlx {
namespace {

using test::TinyCheckpoint;

/// A checkpoint's folder, open.
class Opened {
 public:
  explicit Opened(const TinyCheckpoint& checkpoint) {
    checkpoint.save(scratch_.path());
    model_.emplace(hf::open_checkpoint(scratch_.path()));
    modules_ = modules_of(*model_);
  }

  const Module* find(std::string_view name) const {
    const auto found = std::ranges::find(modules_, name, &Module::name);
    return found == modules_.end() ? nullptr : &*found;
  }
  const std::vector<Module>& modules() const { return modules_; }

 private:
  test::Scratch scratch_;
  std::optional<ModelSource> model_;
  std::vector<Module> modules_;
};

TEST(Modules, OfLlamaAreCalledAsInTheCheckpoint) {
  const Opened llama{test::wide_llama()};
  EXPECT_EQ(llama.modules().size(), 3u + 2 * 9);
  EXPECT_EQ(llama.modules().front().path, "model.embed_tokens");
  EXPECT_EQ(llama.modules().back().path, "lm_head");
  const Module* down = llama.find("model.layers.1.mlp.down_proj.weight");
  ASSERT_NE(down, nullptr);
  EXPECT_EQ(down->path, "model.layers.1.mlp.down_proj");
  EXPECT_EQ(down->shape, (std::vector<int64_t>{128, 256}));
  EXPECT_TRUE(down->quantizable);
  EXPECT_EQ(down->tensor->name, "blk.1.ffn_down.weight");
  EXPECT_FALSE(llama.find("model.layers.0.input_layernorm.weight")->quantizable);
}

TEST(Modules, ATiedHeadIsNoModule) {
  EXPECT_EQ(Opened{test::wide_llama(R"(,"tie_word_embeddings":true)")}.find("lm_head.weight"), nullptr);
  EXPECT_EQ(Opened{test::wide_llama().remove("lm_head.weight")}.find("lm_head.weight"), nullptr);
}

TEST(Modules, RowsOfRotatedHeadsGoBackToHalves) {
  const RowOrder order{128, 0, 128, 64};
  EXPECT_EQ(order.place(0), 0);
  EXPECT_EQ(order.place(1), 32);
  EXPECT_EQ(order.place(2), 1);
  EXPECT_EQ(order.place(127), 127);
  EXPECT_EQ(order.place(65), 64 + 32);
  const Opened llama{test::wide_llama()};
  EXPECT_EQ(llama.find("model.layers.0.self_attn.q_proj.weight")->order.head, 64);
  EXPECT_EQ(llama.find("model.layers.0.self_attn.v_proj.weight")->order.head, 0);
}

TEST(Modules, PartsOfAStackOfMatricesAreTheRowsOfEach) {
  const RowOrder up{8, 4, 4, 0};  // of matrices of 8 rows the last 4
  EXPECT_EQ(up.place(3), -1);
  EXPECT_EQ(up.place(4), 0);
  EXPECT_EQ(up.place(7), 3);
  EXPECT_EQ(up.place(8), -1);
  EXPECT_EQ(up.place(12), 4);
}

TEST(Modules, OfAPartOfALargerModelHaveItsPrefix) {
  EXPECT_NE(Opened{test::wide_gemma3(true)}.find("language_model.model.layers.0.self_attn.k_norm.weight"), nullptr);
  const Opened alone{test::wide_gemma3(false)};
  const Module* norm = alone.find("model.layers.0.pre_feedforward_layernorm.weight");
  ASSERT_NE(norm, nullptr);
  EXPECT_EQ(norm->change, Change::less_one);
}

TEST(Modules, ExpertsAreStackedAndRoutersAreMatrices) {
  const Opened model{test::wide_qwen3moe()};
  const Module* down = model.find("model.layers.0.mlp.switch_mlp.down_proj.weight");
  ASSERT_NE(down, nullptr);
  EXPECT_EQ(down->shape, (std::vector<int64_t>{3, 64, 32}));
  EXPECT_EQ(down->rows(), 192);
  const Module* router = model.find("model.layers.0.mlp.gate.weight");
  ASSERT_NE(router, nullptr);
  EXPECT_TRUE(router->quantizable);
}

TEST(Modules, AnUnknownArchitectureIsRefusedWithThoseKnown) {
  const test::Scratch scratch;
  test::GgufBytes file;
  file.key("general.architecture", "mamba");
  file.f32("token_embd.weight", {1}, {0});
  file.save(scratch / "in.gguf");
  const ModelSource model = open_model(scratch / "in.gguf");
  try {
    modules_of(model);
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string{error.what()}.find("mamba"), std::string::npos);
    EXPECT_NE(std::string{error.what()}.find("qwen3moe"), std::string::npos);
    EXPECT_NE(std::string{error.what()}.find("gemma4"), std::string::npos);
  }
}

}  // namespace
}  // namespace snug::mlx
