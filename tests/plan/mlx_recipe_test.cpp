#include "plan/mlx_recipe.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "mlx/sparse_gemma4.hpp"
#include "snug/error.hpp"
#include "support/scratch.hpp"

namespace snug {
namespace {

struct SparseGemma {
  test::Scratch folder;
  ModelSource model = open();

  ModelSource open() {
    test::write_sparse_gemma4(folder.path());
    return open_model(folder.path());
  }
};

TEST(MlxRecipe, PresetsOfACheckpointWithoutWeightsTakeThePublishedBytes) {
  const SparseGemma gemma;
  std::ifstream rows{std::string{SNUG_SOURCE_DIR} + "/tests/mlx/recipes.tsv"};
  std::string line;
  std::getline(rows, line);
  int compared = 0;
  while (std::getline(rows, line)) {
    std::string name;
    int64_t bytes = 0;
    double raw_bits = 0;
    std::istringstream{line} >> name >> bytes >> raw_bits;
    if (name.starts_with("qwen")) continue;
    const ModuleTable table = module_table(gemma.model, mlx_preset_recipe(gemma.model, nullptr, name));
    EXPECT_EQ(table.tensor_bytes(), bytes) << name;
    EXPECT_EQ(table.weights(), 25233141790) << name;
    EXPECT_NEAR(table.raw_bits_per_weight(), raw_bits, 5e-5) << name;
    ++compared;
  }
  EXPECT_EQ(compared, 18);
}

TEST(MlxRecipe, ModulesAreThoseOfTheTree) {
  const SparseGemma gemma;
  const ModuleTable table = module_table(gemma.model, mlx_preset_recipe(gemma.model, nullptr, "ud_mxfp4"));
  const test::ModuleTree tree = test::gemma4_26b();
  std::map<std::string, std::vector<int64_t>> shapes, wanted;
  for (const ModuleLine& module : table.modules) shapes[module.path] = module.shape;
  for (const auto& module : tree.modules) wanted[module.path] = module.shape;
  EXPECT_EQ(shapes, wanted);
  EXPECT_EQ(table.other_weights, tree.small_weights);
}

TEST(MlxRecipe, UnknownPresetsListTheKnownOnes) {
  const SparseGemma gemma;
  try {
    mlx_preset_recipe(gemma.model, nullptr, "q4_k_m");
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_NE(std::string{error.what()}.find("ud_mxfp4"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace snug
