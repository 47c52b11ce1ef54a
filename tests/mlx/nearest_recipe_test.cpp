#include "plan/nearest_recipe.hpp"

#include <gtest/gtest.h>

#include "mlx/mlx_folder.hpp"
#include "mlx/other_checkpoints.hpp"
#include "mlx/wide_checkpoint.hpp"
#include "model/roles.hpp"
#include "recipe/target.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

using test::MlxFolder;

FormatId format_of(const Recipe& recipe, std::string_view tensor) {
  return std::ranges::find(recipe.tensors, tensor, &RecipeTensor::name)->format;
}

class NearestRecipe : public MlxFolder {
 protected:
  /// Attention in q8_0, feed-forward in q4_0, the rest as it is.
  Recipe for_llama() const {
    return recipe_with(model(), nullptr, "by hand", [](size_t, const Tensor& tensor) {
      if (!is_quantizable(tensor) || tensor.name.find("embd") != tensor.name.npos ||
          tensor.name.starts_with("output"))
        return tensor.format;
      return tensor.name.find("attn") != tensor.name.npos ? FormatId::q8_0 : FormatId::q4_0;
    });
  }
};

TEST_F(NearestRecipe, TakesFormatsOfMlxWithTheBitsOfGguf) {
  save(test::wide_llama());
  const Recipe nearest = nearest_recipe(model(), for_llama(), "mlx");
  EXPECT_EQ(nearest.runtime, "mlx");
  EXPECT_EQ(nearest.method, "nearest to by hand");
  EXPECT_EQ(format_of(nearest, "blk.0.attn_q.weight"), FormatId::mlx_q8_g64);
  EXPECT_EQ(format_of(nearest, "blk.1.ffn_up.weight"), FormatId::mlx_q4_g64);
  EXPECT_EQ(format_of(nearest, "token_embd.weight"), FormatId::bf16);
  EXPECT_FALSE(nearest.loss_known);
  EXPECT_EQ(nearest.tensor_bytes, for_llama().tensor_bytes);
  EXPECT_EQ(quantize(nearest).bytes, nearest.file_bytes);
}

TEST_F(NearestRecipe, TakesFormatsOfGgufWithTheBitsOfMlx) {
  save(test::wide_llama());
  const Recipe nearest = nearest_recipe(model(), uniform("mlx_q4_g64"), "llama.cpp");
  for (const RecipeTensor& tensor : nearest.tensors) {
    EXPECT_TRUE(find_target("llama.cpp").loads(tensor.format)) << tensor.name;
    if (!tensor.copied) {
      EXPECT_EQ(find_format(tensor.format)->bits_per_weight(), 4.5) << tensor.name;
    }
  }
  EXPECT_EQ(format_of(nearest, "blk.0.ffn_down.weight"), FormatId::q4_K)
      << "256 weights a row: the best of 4.5 bits";
}

TEST_F(NearestRecipe, KeepsEveryBudgetThatCanBeKept) {
  save(test::wide_qwen3next());
  const Recipe recipe = for_llama();
  for (int64_t size = 60'000; size < 150'000; size += 10'000) {
    const Recipe nearest = nearest_recipe(model(), recipe, "mlx", Budget::of_file(size));
    EXPECT_LE(nearest.file_bytes, size);
    EXPECT_EQ(format_of(nearest, "blk.0.attn_qkv.weight"), format_of(nearest, "blk.0.attn_gate.weight"));
    std::filesystem::remove_all(out_);
    EXPECT_EQ(quantize(nearest).bytes, nearest.file_bytes);
  }
  EXPECT_THROW(nearest_recipe(model(), recipe, "mlx", Budget::of_file(20'000)), Error);
}

TEST_F(NearestRecipe, RefusesTheRecipeOfAnotherModel) {
  save(test::wide_llama());
  const Recipe recipe = for_llama();
  std::filesystem::remove_all(source_);
  save(test::wide_qwen3moe());
  EXPECT_THROW(nearest_recipe(model(), recipe, "mlx"), Error);
}

}  // namespace
}  // namespace snug
