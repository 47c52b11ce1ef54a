#include "gguf/split.hpp"

#include <gtest/gtest.h>

#include "gguf/reader.hpp"
#include "snug/error.hpp"
#include "snug/model.hpp"
#include "support/gguf_bytes.hpp"
#include "support/scratch.hpp"

namespace snug::gguf {
namespace {

using test::GgufBytes;

GgufBytes shard(int number, int count, int total) {
  GgufBytes file;
  if (number == 0) file.key("general.architecture", "llama");
  file.key("split.no", 2, GgufBytes::le(static_cast<uint16_t>(number)));
  file.key("split.count", 2, GgufBytes::le(static_cast<uint16_t>(count)));
  file.key("split.tensors.count", 5, GgufBytes::le(static_cast<int32_t>(total)));
  return file;
}

void add_tensor(GgufBytes& file, const std::string& name) {
  file.f32(name, {2}, {1, 2});
}

class SplitFiles : public ::testing::Test {
 protected:
  std::filesystem::path name(int number) const { return split_name(scratch_ / "m", number, 3); }

  /// No tensor in the first, as gguf-split may write it; two in the second; one in the third.
  void write_good() {
    shard(0, 3, 3).save(name(1));
    GgufBytes second = shard(1, 3, 3), third = shard(2, 3, 3);
    add_tensor(second, "a");
    add_tensor(second, "b");
    add_tensor(third, "c");
    second.save(name(2));
    third.save(name(3));
  }

  void expect_refusal(const std::filesystem::path& path, const std::string& part) const {
    try {
      gguf::read_model(path);
      FAIL() << "no error with '" << part << "'";
    } catch (const Error& error) {
      EXPECT_NE(std::string{error.what()}.find(part), std::string::npos) << error.what();
      EXPECT_FALSE(error.where().empty());
      EXPECT_FALSE(error.remedy().empty());
    }
  }

  test::Scratch scratch_;
};

TEST(SplitName, IsTheOneOfGgufSplit) {
  const auto name = parse_split_name("/x/model-00002-of-00005.gguf");
  ASSERT_TRUE(name);
  EXPECT_EQ(name->prefix, "/x/model");
  EXPECT_EQ(name->number, 2);
  EXPECT_EQ(name->count, 5);
  EXPECT_EQ(split_name(name->prefix, 2, 5), "/x/model-00002-of-00005.gguf");
  EXPECT_EQ(split_prefix("/x/out.gguf"), "/x/out");
  EXPECT_EQ(split_prefix("/x/v1.5"), "/x/v1.5");
  for (const char* bad :
       {"model.gguf", "m-00000-of-00005.gguf", "m-00006-of-00005.gguf", "m-0002-of-00005.gguf",
        "m-00002-of-0000x.gguf", "m-00002-of-00005.bin", "-00002-of-00005.gguf"})
    EXPECT_FALSE(parse_split_name(bad)) << bad;
}

TEST_F(SplitFiles, AreOneModel) {
  write_good();
  const ModelSource model = gguf::read_model(name(1));
  EXPECT_EQ(model.files().size(), 3u);
  ASSERT_EQ(model.tensors().size(), 3u);
  EXPECT_EQ(model.tensors()[0].name, "a");
  EXPECT_EQ(model.tensors()[2].name, "c");
  EXPECT_EQ(model.tensors()[0].file, name(2).native());
  EXPECT_EQ(model.find("c")->file, name(3).native());
  EXPECT_EQ(model.find("c")->bytes(), 8);
  EXPECT_EQ(model.metadata().text("general.architecture"), "llama");
  int64_t bytes = 0;
  for (int i = 1; i <= 3; ++i) bytes += static_cast<int64_t>(std::filesystem::file_size(name(i)));
  EXPECT_EQ(model.bytes(), bytes);
}

TEST_F(SplitFiles, AreOpenedByTheFirst) {
  write_good();
  expect_refusal(name(2), name(1).string());
}

TEST_F(SplitFiles, MustAllBeThere) {
  write_good();
  std::filesystem::remove(name(3));
  expect_refusal(name(1), name(3).string());
}

TEST_F(SplitFiles, MustBearTheirNames) {
  write_good();
  std::filesystem::rename(name(1), scratch_ / "renamed.gguf");
  expect_refusal(scratch_ / "renamed.gguf", "name does not say so");
}

TEST_F(SplitFiles, MustBeInTheirPlaces) {
  write_good();
  std::filesystem::rename(name(2), scratch_ / "x");
  std::filesystem::rename(name(3), name(2));
  std::filesystem::rename(scratch_ / "x", name(3));
  expect_refusal(name(1), "should be number 2 of 3");
}

TEST_F(SplitFiles, MustNotRepeatATensor) {
  write_good();
  GgufBytes third = shard(2, 3, 3);
  add_tensor(third, "b");
  third.save(name(3));
  expect_refusal(name(1), "in two files");
}

TEST_F(SplitFiles, MustHaveAllTensors) {
  write_good();
  shard(0, 3, 4).save(name(1));
  expect_refusal(name(1), "should have 4 tensors");
}

TEST_F(SplitFiles, MustSayWhatTheyAre) {
  write_good();
  GgufBytes second;
  add_tensor(second, "a");
  second.save(name(2));
  expect_refusal(name(1), "split.no");
}

TEST_F(SplitFiles, OneOfOneIsAWholeFile) {
  GgufBytes file = shard(0, 1, 1);
  add_tensor(file, "a");
  file.save(scratch_ / "any.gguf");
  EXPECT_EQ(gguf::read_model(scratch_ / "any.gguf").files().size(), 1u);
}

TEST_F(SplitFiles, ADamagedShardIsNamed) {
  write_good();
  std::filesystem::resize_file(name(2), 100);
  expect_refusal(name(1), name(2).string() + ": byte");
}

}  // namespace
}  // namespace snug::gguf
