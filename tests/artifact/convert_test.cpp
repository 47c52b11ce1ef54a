#include "artifact/convert_model.hpp"

#include <gtest/gtest.h>

#include "snug/error.hpp"
#include "support/gguf_bytes.hpp"
#include "support/scratch.hpp"

namespace snug {
namespace {

class Conversion : public testing::Test {
 protected:
  ModelSource model(float weight) const {
    test::GgufBytes file;
    file.key("general.architecture", "llama");
    file.f32("blk.0.attn_q.weight", {2, 2}, {1, -2, weight, 0.5F});
    file.f32("blk.0.attn_norm.weight", {2}, {3, 4});
    file.save(scratch_ / "in.gguf");
    return open_model(scratch_ / "in.gguf");
  }
  ModelSource converted(const ConvertOptions& options) const {
    const WrittenModel written = convert_model(model(8), out_, options);
    EXPECT_EQ(written.files, std::vector{out_});
    EXPECT_EQ(written.bytes, static_cast<int64_t>(std::filesystem::file_size(out_)));
    return open_model(out_);
  }

  test::Scratch scratch_;
  std::filesystem::path out_ = scratch_ / "out.gguf";
};

TEST_F(Conversion, ChangesMatricesAlone) {
  const ModelSource half = converted({.type = FormatId::f16});
  EXPECT_EQ(half.find("blk.0.attn_q.weight")->format, FormatId::f16);
  EXPECT_EQ(half.find("blk.0.attn_q.weight")->values(), (std::vector<float>{1, -2, 8, 0.5F}));
  EXPECT_EQ(half.find("blk.0.attn_norm.weight")->format, FormatId::f32);
  EXPECT_EQ(half.metadata().integer("general.file_type"), 1);
}

TEST_F(Conversion, SaysWhatMostMatricesAreAndNothingOfRecipes) {
  const ModelSource same = converted({});
  EXPECT_EQ(same.find("blk.0.attn_q.weight")->format, FormatId::f32);
  EXPECT_EQ(same.metadata().integer("general.file_type"), 0);
  EXPECT_EQ(same.metadata().find("snug.recipe"), nullptr);
  EXPECT_EQ(converted({.type = FormatId::bf16, .existing = Existing::replace}).metadata().integer("general.file_type"),
            32);
}

TEST_F(Conversion, RefusesWhatF16CannotHoldAndLeavesNoFile) {
  const ModelSource large = model(1e6F);
  try {
    convert_model(large, out_, {.type = FormatId::f16});
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(error.problem().find("'blk.0.attn_q.weight' holds 1e+06 in row 1"), std::string::npos) << error.what();
  }
  EXPECT_FALSE(std::filesystem::exists(out_));
}

TEST_F(Conversion, NeverWritesOverTheModel) {
  EXPECT_THROW(convert_model(model(8), scratch_ / "in.gguf", {.type = {}, .existing = Existing::replace}), Error);
}

}  // namespace
}  // namespace snug
