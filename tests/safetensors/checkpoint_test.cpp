#include "safetensors/checkpoint.hpp"

#include <gtest/gtest.h>

#include <fstream>

#include "base/files/read_file.hpp"
#include "safetensors/writer.hpp"
#include "snug/error.hpp"
#include "support/scratch.hpp"

namespace snug::safetensors {
namespace {

void put(const std::filesystem::path& path, const std::string& text) { std::ofstream{path} << text; }

std::vector<std::byte> filled(size_t count, int value) { return std::vector<std::byte>(count, std::byte(value)); }

/// Tensors a, b and c of 6 bytes each.
void write(const std::filesystem::path& folder, uint64_t shard_bytes,
           FolderWriter::Index index = FolderWriter::Index::where_sharded) {
  const std::vector<Planned> tensors{{"a", Dtype::u8, {6}}, {"b", Dtype::bf16, {3, 1}}, {"c", Dtype::u8, {2, 3}}};
  FolderWriter writer{folder, tensors, {{"format", "pt"}}, shard_bytes, index, Existing::replace};
  for (size_t i = 0; i < 3; ++i)
    for (size_t half = 0; half < 2; ++half) writer.write(i, half * 3, filled(3, static_cast<int>(i + 1)));
  writer.commit();
}

std::string refusal(const std::filesystem::path& folder) {
  try {
    Checkpoint{folder};
  } catch (const Error& error) {
    return error.problem();
  }
  return "";
}

void expect_refusal(const std::filesystem::path& folder, const std::string& part) {
  const std::string problem = refusal(folder);
  EXPECT_NE(problem.find(part), std::string::npos) << "'" << problem << "', wanted '" << part << "'";
}

void expect_three_tensors(const Checkpoint& checkpoint) {
  ASSERT_EQ(checkpoint.tensors().size(), 3u);
  for (int i = 0; i < 3; ++i) {
    const Tensor* tensor = checkpoint.find(std::string(1, static_cast<char>('a' + i)));
    ASSERT_TRUE(tensor);
    EXPECT_EQ(std::vector<std::byte>(tensor->bytes.begin(), tensor->bytes.end()), filled(6, i + 1));
  }
}

TEST(Checkpoint, OpensOneFile) {
  const test::Scratch scratch;
  write(scratch.path(), 1000);
  EXPECT_FALSE(std::filesystem::exists(scratch / "model.safetensors.index.json"));
  const Checkpoint checkpoint{scratch.path()};
  EXPECT_EQ(checkpoint.files().size(), 1u);
  EXPECT_EQ(checkpoint.metadata().at("format"), "pt");
  expect_three_tensors(checkpoint);
  expect_three_tensors(Checkpoint::of_file(scratch / "model.safetensors"));
}

TEST(Checkpoint, OpensShardsByTheirIndexAndWithout) {
  const test::Scratch scratch;
  write(scratch.path(), 12);
  const Checkpoint checkpoint{scratch.path()};
  EXPECT_EQ(checkpoint.files().size(), 2u);
  EXPECT_EQ(checkpoint.tensors()[2].file, (scratch / "model-00002-of-00002.safetensors").string());
  expect_three_tensors(checkpoint);
  std::filesystem::remove(scratch / "model.safetensors.index.json");
  expect_three_tensors(Checkpoint{scratch.path()});
}

TEST(Checkpoint, ReadsFilesOfAnyNameThatTheIndexLists) {
  const test::Scratch scratch;
  write(scratch.path(), 12);
  std::filesystem::rename(scratch / "model-00002-of-00002.safetensors", scratch / "mtp.safetensors");
  put(scratch / "model.safetensors.index.json",
      R"({"weight_map":{"a":"model-00001-of-00002.safetensors","b":"model-00001-of-00002.safetensors",
          "c":"mtp.safetensors"}})");
  put(scratch / "model-stray.safetensors", "not listed, not read");
  expect_three_tensors(Checkpoint{scratch.path()});
}

TEST(Checkpoint, WritesAnIndexForOneFileWhereAsked) {
  const test::Scratch scratch;
  write(scratch.path(), 1000, FolderWriter::Index::always);
  const auto map = read_index(read_file(scratch / "model.safetensors.index.json"), "index");
  EXPECT_EQ(map.at("b"), "model.safetensors");
  expect_three_tensors(Checkpoint{scratch.path()});
}

TEST(Checkpoint, RefusesAnIndexThatDisagreesWithTheFiles) {
  const test::Scratch scratch;
  const std::string one = R"("model-00001-of-00002.safetensors")", other = R"("model-00002-of-00002.safetensors")";
  write(scratch.path(), 12);
  const auto index = [&](const std::string& map) {
    put(scratch / "model.safetensors.index.json", R"({"weight_map":{)" + map + "}}");
  };
  index(R"("a":)" + one + R"(,"b":)" + one + R"(,"c":)" + one);
  expect_refusal(scratch.path(), "\"c\" is not in");
  index(R"("a":)" + one + R"(,"b":)" + other + R"(,"c":)" + other);
  expect_refusal(scratch.path(), "\"b\" is not in");
  index(R"("a":)" + one + R"(,"c":)" + other);
  expect_refusal(scratch.path(), "does not list the tensor \"b\"");
  index(R"("a":)" + one + R"(,"b":)" + one + R"(,"c":"model-00003-of-00003.safetensors")");
  expect_refusal(scratch.path(), "missing");
}

TEST(Checkpoint, RefusesAnIndexThatLeadsElsewhere) {
  for (const char* name : {"../x.safetensors", "/etc/passwd", "", "..", "a\\\\b", "a\\u0000b"})
    EXPECT_THROW(read_index(R"({"weight_map":{"a":")" + std::string{name} + "\"}}", "index"), Error) << name;
  EXPECT_THROW(read_index("{}", "index"), Error);
  EXPECT_THROW(read_index(R"({"weight_map":{"a":1}})", "index"), Error);
}

TEST(Checkpoint, RefusesATensorThatIsInTwoFiles) {
  const test::Scratch scratch;
  write(scratch.path(), 1000);
  std::filesystem::copy(scratch / "model.safetensors", scratch / "model-2.safetensors");
  expect_refusal(scratch.path(), "\"a\" is in two files");
}

TEST(Checkpoint, SaysWhatIsThereInstead) {
  const test::Scratch scratch;
  expect_refusal(scratch.path(), "no file model*.safetensors");
  put(scratch / "pytorch_model.bin", "x");
  expect_refusal(scratch.path(), "PyTorch");
  put(scratch / "model.safetensors", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n");
  expect_refusal(scratch.path(), "Git LFS");
}

TEST(Writer, LeavesNothingWhereBytesAreMissing) {
  const test::Scratch scratch;
  {
    Writer writer{scratch / "x.safetensors", {{"a", Dtype::u8, {2}}}, {}, Existing::refuse};
    writer.write(0, 0, filled(1, 1));
    EXPECT_THROW(writer.write(0, 1, filled(2, 1)), Error);
    EXPECT_THROW(writer.commit(), Error);
  }
  EXPECT_TRUE(std::filesystem::is_empty(scratch.path()));
}

TEST(Writer, RefusesNamesThatAreThereTwiceOrNoText) {
  const test::Scratch scratch;
  const auto write_names = [&](const std::string& a, const std::string& b) {
    Writer{scratch / "x.safetensors", {{a, Dtype::u8, {2}}, {b, Dtype::u8, {2}}}, {}, Existing::refuse};
  };
  EXPECT_NO_THROW(write_names("a", "b"));
  EXPECT_THROW(write_names("a", "a"), Error);
  EXPECT_THROW(write_names("a", "__metadata__"), Error);
  EXPECT_THROW(write_names("a", "\xff"), Error);
}

TEST(Writer, SortsAsTheContainersOwnWriterDoes) {
  std::vector<Planned> tensors{{"b", Dtype::u8, {}}, {"c", Dtype::f32, {}}, {"a", Dtype::u8, {}}, {"d", Dtype::i64, {}}};
  sort_by_alignment(tensors);
  EXPECT_EQ(tensors[0].name + tensors[1].name + tensors[2].name + tensors[3].name, "dcab");
}

}  // namespace
}  // namespace snug::safetensors
