#include "artifact/artifact.hpp"

#include <gtest/gtest.h>

#include <fstream>

#include "artifact/quantize_model.hpp"
#include "artifact/tensor_order.hpp"
#include "base/progress.hpp"
#include "plan/baseline_recipes.hpp"
#include "snug/error.hpp"
#include "support/gguf_bytes.hpp"
#include "support/scratch.hpp"
#include "support/tiny_model.hpp"

namespace snug {
namespace {

class ArtifactOfTiny : public testing::Test {
 protected:

  WrittenModel copy_to(const std::filesystem::path& out) const {
    return quantize_model(model_, nullptr, copy_, out, Existing::replace);
  }
  static int64_t size_of(const std::filesystem::path& file) {
    return static_cast<int64_t>(std::filesystem::file_size(file));
  }
  std::string problem_of_reading(const WrittenModel& written) const {
    try {
      artifact_->read_back(copy_, written);
    } catch (const Error& error) {
      return error.problem();
    }
    return "";
  }

  test::Scratch scratch_;
  ModelSource model_ = open_model(test::tiny_model());
  std::unique_ptr<Artifact> artifact_ = make_artifact(model_, nullptr);
  Recipe copy_ = copy_recipe(model_);
};

TEST_F(ArtifactOfTiny, IsItsFixedBytesAndWhatEachTensorTakes) {
  for (const char* format : {"q4_0", "q6_K", "f32"}) {
    SCOPED_TRACE(format);
    const Recipe recipe = uniform_recipe(model_, format);
    int64_t bytes = artifact_->fixed_bytes(recipe);
    for (const RecipeTensor& tensor : recipe.tensors) bytes += artifact_->stored_bytes(tensor.format, tensor.bytes);
    EXPECT_EQ(artifact_->layout(recipe).bytes, bytes);
    const WrittenModel written = quantize_model(model_, nullptr, recipe, scratch_ / "out.gguf", Existing::replace);
    EXPECT_EQ(size_of(scratch_ / "out.gguf"), bytes);
    EXPECT_EQ(written.bytes, bytes);
  }
}

TEST_F(ArtifactOfTiny, SplitsIntoFilesOfThePlannedSizes) {
  copy_.split_bytes = 1 << 20;
  const FileLayout layout = artifact_->layout(copy_);
  const WrittenModel written = copy_to(scratch_ / "split.gguf");
  ASSERT_GT(layout.file_bytes.size(), 2u);
  ASSERT_EQ(written.files.size(), layout.file_bytes.size());
  int64_t sum = 0;
  for (size_t i = 0; i < written.files.size(); ++i) {
    EXPECT_EQ(size_of(written.files[i]), layout.file_bytes[i]);
    sum += layout.file_bytes[i];
  }
  EXPECT_EQ(layout.bytes, sum);
  EXPECT_EQ(problem_of_reading(written), "");
}

TEST_F(ArtifactOfTiny, HoldsTheRowsItTookAndNoOthers) {
  const auto reader = artifact_->read_back(copy_, copy_to(scratch_ / "out.gguf"));
  for (size_t i = 0; i < copy_.tensors.size(); ++i) {
    const Tensor& source = *model_.find(copy_.tensors[i].name);
    std::vector<std::byte> rows(static_cast<size_t>(source.bytes()));
    source.read_blocks(0, source.rows(), rows);
    EXPECT_TRUE(reader->holds_rows(i, 0, rows)) << source.name;
    rows.back() ^= std::byte{1};
    EXPECT_FALSE(reader->holds_rows(i, 0, rows)) << source.name;
  }
}

TEST_F(ArtifactOfTiny, RefusesToReadBackWhatWasNotPlanned) {
  const WrittenModel written = copy_to(scratch_ / "out.gguf");
  EXPECT_EQ(problem_of_reading(written), "");
  copy_.tensors.back().format = FormatId::q8_0;
  EXPECT_NE(problem_of_reading(written).find("is not what was planned"), std::string::npos);
  copy_.tensors.pop_back();
  EXPECT_EQ(problem_of_reading(written), "a tensor is missing");
  EXPECT_NE(problem_of_reading({written.bytes + 1, written.files}).find("planned were"), std::string::npos);
}

TEST_F(ArtifactOfTiny, VerifyingFindsAChangedRow) {
  const WrittenModel written = copy_to(scratch_ / "out.gguf");
  verify_written(model_, nullptr, copy_, written);
  std::fstream file{written.files.front(), std::ios::in | std::ios::out | std::ios::binary};
  file.seekp(-static_cast<int64_t>(artifact_->stored_bytes(copy_.tensors.back().format, copy_.tensors.back().bytes)),
             std::ios::end);
  file.put('\x55').put('\x2a');
  file.close();
  EXPECT_THROW(verify_written(model_, nullptr, copy_, written), Error);
}

TEST_F(ArtifactOfTiny, TakesEveryRowOnceAndLeavesNoFileOtherwise) {
  const std::filesystem::path out = scratch_ / "part.gguf";
  const Tensor& source = *model_.find(copy_.tensors.front().name);
  std::vector<std::byte> row(static_cast<size_t>(source.row_bytes()));
  {
    const auto writer = artifact_->open(copy_, out, Existing::refuse);
    writer->write_rows(0, 0, row);
    EXPECT_THROW(writer->write_rows(0, 0, row), Error);
    EXPECT_THROW(writer->write_rows(0, source.rows(), row), Error);
    EXPECT_THROW(writer->commit(), Error);
  }
  EXPECT_FALSE(std::filesystem::exists(out));
}

TEST_F(ArtifactOfTiny, NeverWritesOverTheModel) {
  EXPECT_THROW(artifact_->open(copy_, test::tiny_model(), Existing::replace), Error);
}

TEST(RecipeOrder, IsByLayerNumberThenName) {
  const test::Scratch scratch;
  test::GgufBytes file;
  file.key("general.architecture", "llama");
  for (const char* name : {"blk.10.a", "output.weight", "blk.2.b", "blk.2.a", "token_embd.weight", "blk.x.a", "blk.1.z"})
    file.f32(name, {1}, {0});
  file.save(scratch / "in.gguf");
  const ModelSource model = open_model(scratch / "in.gguf");
  std::vector<std::string_view> order;
  for (const Tensor* tensor : in_recipe_order(model)) order.push_back(tensor->name);
  EXPECT_EQ(order, (std::vector<std::string_view>{"blk.x.a", "output.weight", "token_embd.weight", "blk.1.z", "blk.2.a",
                                                  "blk.2.b", "blk.10.a"}));
}

}  // namespace
}  // namespace snug
