#include <gtest/gtest.h>

#include <random>
#include <set>

#include "artifact/mlx_artifact.hpp"
#include "mlx/mlx_folder.hpp"
#include "mlx/other_checkpoints.hpp"
#include "mlx/wide_checkpoint.hpp"
#include "model/roles.hpp"
#include "quant/mlx_modes.hpp"
#include "recipe/target.hpp"

namespace snug {
namespace {

using test::MlxFolder;
namespace fs = std::filesystem;

class RandomRecipes : public MlxFolder {
 protected:
  /// In memory where there is such a place: a thousand folders put in place on a disk wait for it a minute.
  void SetUp() override {
    if (fs::exists("/dev/shm")) out_ = fs::path{"/dev/shm"} / scratch_.path().filename();
  }
  void TearDown() override { fs::remove_all(out_); }

  /// Any formats that the files can hold; of joined tensors one for all.
  Recipe draw(const ModelSource& source, const MlxArtifact& artifact) {
    const std::span<const TargetFormat> all = find_target("mlx").formats;
    Recipe recipe = recipe_with(source, nullptr, "random", [&](size_t, const Tensor& tensor) {
      const FormatId drawn = with_scales_of(all[random_() % all.size()].id, tensor.format);
      const bool can_be = is_quantizable(tensor) && find_format(drawn)->fits(tensor.cols()) &&
                          artifact.can_store(tensor.name, drawn);
      return can_be && random_() % 4 ? drawn : tensor.format;
    });
    for (const auto& set : artifact.joined_tensors()) {
      const RecipeTensor first = *std::ranges::find(recipe.tensors, set.front(), &RecipeTensor::name);
      for (RecipeTensor& tensor : recipe.tensors)
        if (std::ranges::find(set, tensor.name) != set.end()) give(source, tensor, first.format);
    }
    recipe.runtime = "mlx";
    return recipe;
  }

  static void give(const ModelSource& source, RecipeTensor& tensor, FormatId format) {
    const Tensor& from = *source.find(tensor.name);
    tensor.format = format;
    tensor.copied = format == from.format;
    tensor.bytes = find_format(format)->row_bytes(from.cols()) * from.rows();
  }

  void expect_planned(const MlxArtifact& artifact, const Recipe& recipe) const {
    const FileLayout layout = artifact.layout(recipe);
    const WrittenModel written = quantize_model(model(), nullptr, recipe, out_, Existing::replace);
    ASSERT_EQ(written.files.size(), layout.file_bytes.size());
    if (recipe.split_bytes > 0) {
      EXPECT_LE(std::ranges::max(layout.file_bytes), recipe.split_bytes);
    }
    int64_t sum = 0, least = artifact.fixed_bytes(recipe);
    for (size_t i = 0; i < written.files.size(); ++i) {
      EXPECT_EQ(static_cast<int64_t>(fs::file_size(written.files[i])), layout.file_bytes[i]);
      sum += layout.file_bytes[i];
    }
    for (const RecipeTensor& tensor : recipe.tensors)
      least += artifact.stored_bytes(tensor.format, tensor.bytes);
    EXPECT_EQ(layout.bytes, sum);
    EXPECT_EQ(written.bytes, sum);
    EXPECT_EQ(least, sum);
  }

  void expect_planned_of(const test::TinyCheckpoint& checkpoint, int rounds) {
    fs::remove_all(source_);
    save(checkpoint);
    const ModelSource source = model();
    const MlxArtifact artifact{source};
    for (int round = 0; round < rounds; ++round) {
      SCOPED_TRACE(round);
      Recipe recipe = draw(source, artifact);
      recipe.split_bytes = round % 3 ? 0 : 1 << 17;
      expect_planned(artifact, recipe);
      if (round % 20 == 0)
        verify_written(source, nullptr, recipe,
                       quantize_model(source, nullptr, recipe, out_, Existing::replace));
    }
  }

  std::mt19937 random_{1};
};

TEST_F(RandomRecipes, AreWrittenAsPlannedToTheByte) {
  for (const auto& [name, checkpoint] : test::wide_models(true)) {
    SCOPED_TRACE(name);
    expect_planned_of(checkpoint, 125);
  }
}

}  // namespace
}  // namespace snug
