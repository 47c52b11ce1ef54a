#include "gguf/writer.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <random>
#include <thread>

#include "base/str.hpp"
#include "base/covered.hpp"
#include "gguf/layout.hpp"
#include "snug/error.hpp"
#include "gguf/reader.hpp"
#include "support/gguf_bytes.hpp"
#include "support/scratch.hpp"

namespace snug::gguf {
namespace {

std::string contents(const std::filesystem::path& path) {
  std::ifstream in{path, std::ios::binary};
  return {std::istreambuf_iterator<char>{in}, {}};
}

size_t files_in(const std::filesystem::path& folder) {
  return static_cast<size_t>(std::distance(std::filesystem::directory_iterator{folder}, {}));
}

std::string data_of(size_t tensor, int64_t bytes) {
  std::string data(static_cast<size_t>(bytes), '\0');
  for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<char>(tensor * 31 + i);
  return data;
}

int64_t bytes_of(const OutputTensor& tensor) {
  return data_bytes(tensor.format, {tensor.shape.data(), static_cast<size_t>(tensor.dims)});
}

void write_all(Writer& writer) {
  for (size_t t = 0; t < writer.layout().tensors.size(); ++t)
    writer.write(t, 0, test::as_bytes(data_of(t, bytes_of(writer.layout().tensors[t]))));
}

std::vector<OutputKey> some_keys() {
  return {{"general.architecture", std::string{"llama"}},
          {"llama.block_count", MetadataValue{uint32_t{2}}},
          {"flag", MetadataValue{true}},
          {"real", MetadataValue{0.25}},
          {"words", std::vector<std::string>{"a", "", "ccc"}}};
}

std::vector<OutputTensor> some_tensors() {
  return {{"token_embd.weight", FormatId::f16, 2, {33, 3, 1, 1}},
          {"blk.0.ffn_down_exps.weight", FormatId::q4_K, 3, {256, 4, 2, 1}},
          {"blk.0.norm.weight", FormatId::f32, 1, {5, 1, 1, 1}}};
}

std::vector<OutputTensor> random_tensors(uint64_t seed) {
  std::mt19937_64 random{seed};
  std::vector<OutputTensor> tensors(1 + random() % 20);
  for (size_t t = 0; t < tensors.size(); ++t)
    tensors[t] = {
        str("t", t),
        FormatId::q8_0,
        2,
        {static_cast<int64_t>(32 * (1 + random() % 8)), static_cast<int64_t>(1 + random() % 9), 1, 1}};
  return tensors;
}

template <class Call>
std::string problem_of(Call call) {
  try {
    call();
  } catch (const Error& error) {
    return error.problem();
  }
  return {};
}

TEST(Writer, WritesTheBytesTheFormatAsksFor) {
  test::GgufBytes wanted;
  wanted.key("general.architecture", "llama").key_u32("llama.block_count", 2);
  wanted.tensor("a", {3}, 1, data_of(0, 6)).tensor("b", {32, 2}, 8, data_of(1, 68));
  const test::Scratch scratch;
  Writer writer{
      plan_layout(scratch / "out.gguf",
                  {{"general.architecture", std::string{"llama"}}, {"llama.block_count", MetadataValue{uint32_t{2}}}},
                  {{"a", FormatId::f16, 1, {3, 1, 1, 1}}, {"b", FormatId::q8_0, 2, {32, 2, 1, 1}}}),
      Existing::refuse};
  write_all(writer);
  writer.commit();
  EXPECT_EQ(contents(scratch / "out.gguf"), wanted.bytes());
}

TEST(Writer, ReaderFindsWhatWasWritten) {
  const test::Scratch scratch;
  Writer writer{plan_layout(scratch / "out.gguf", some_keys(), some_tensors()), Existing::refuse};
  write_all(writer);
  writer.commit();
  EXPECT_EQ(files_in(scratch.path()), 1u);
  const ModelSource file = gguf::read_model(scratch / "out.gguf");
  EXPECT_EQ(file.bytes(), writer.layout().bytes);
  EXPECT_EQ(file.container(), "GGUF version 3");
  EXPECT_EQ(file.metadata().text("general.architecture"), "llama");
  EXPECT_EQ(file.metadata().integer("llama.block_count"), 2);
  EXPECT_EQ(file.metadata().boolean("flag"), true);
  EXPECT_EQ(file.metadata().real("real"), 0.25);
  EXPECT_EQ(file.metadata().array("words")->strings(), (std::vector<std::string_view>{"a", "", "ccc"}));
  ASSERT_EQ(file.tensors().size(), 3u);
  for (size_t t = 0; t < 3; ++t) {
    const Tensor& tensor = file.tensors()[t];
    EXPECT_EQ(tensor.shape, writer.layout().tensors[t].shape);
    const std::string wanted = data_of(t, bytes_of(writer.layout().tensors[t]));
    EXPECT_TRUE(std::ranges::equal(tensor.contiguous(), test::as_bytes(wanted)));
  }
}

TEST(Writer, CarriesEveryValueOver) {
  test::GgufBytes source;
  for (const auto& [type, size] : {std::pair{0u, 1u},
                                   {1u, 1u},
                                   {2u, 2u},
                                   {3u, 2u},
                                   {4u, 4u},
                                   {5u, 4u},
                                   {6u, 4u},
                                   {7u, 1u},
                                   {10u, 8u},
                                   {11u, 8u},
                                   {12u, 8u}}) {
    const std::string value(size, '\1');
    source.key(str("v", type), type, value);
    source.key(str("a", type), 9,
               test::GgufBytes::le(type) + test::GgufBytes::le<uint64_t>(3) + value + value + value);
  }
  source.key("text", "words")
      .key("none", 9, test::GgufBytes::le<uint32_t>(8) + test::GgufBytes::le<uint64_t>(0));
  const std::string bytes = source.bytes();
  const ModelSource in = gguf::read_model(test::as_bytes(bytes), "in");
  std::vector<OutputKey> keys;
  for (const MetadataEntry& kv : in.metadata().entries()) keys.push_back({std::string{kv.key}, kv.value});
  const Layout layout = plan_layout("out.gguf", keys, {});
  const std::string header{reinterpret_cast<const char*>(layout.shards[0].header.data()), bytes.size()};
  EXPECT_EQ(header, bytes);
}

TEST(Writer, SplitFilesHoldTheSameModelAndKeepTheLimit) {
  for (uint64_t seed = 0; seed < 40; ++seed) {
    SCOPED_TRACE(seed);
    const test::Scratch scratch;
    const std::vector<OutputTensor> tensors = random_tensors(seed);
    const int64_t whole = plan_layout(scratch / "out.gguf", some_keys(), tensors).bytes;
    const int64_t limit = whole / static_cast<int64_t>(1 + seed % 7) + 1000;
    Writer writer{plan_layout(scratch / "out.gguf", some_keys(), tensors, limit), Existing::refuse};
    write_all(writer);
    writer.commit();
    const Layout& layout = writer.layout();
    for (const Layout::Shard& shard : layout.shards) {
      EXPECT_EQ(static_cast<int64_t>(std::filesystem::file_size(shard.path)), shard.bytes);
      EXPECT_TRUE(shard.count <= 1 || shard.bytes <= limit);
    }
    const ModelSource file = gguf::read_model(layout.shards[0].path);
    EXPECT_EQ(file.files().size(), static_cast<int>(layout.shards.size()));
    EXPECT_EQ(file.bytes(), layout.bytes);
    ASSERT_EQ(file.tensors().size(), tensors.size());
    for (size_t t = 0; t < tensors.size(); ++t) {
      EXPECT_EQ(file.tensors()[t].name, tensors[t].name);
      EXPECT_TRUE(
          std::ranges::equal(file.tensors()[t].contiguous(), test::as_bytes(data_of(t, bytes_of(tensors[t])))));
    }
    EXPECT_EQ(file.metadata().text("general.architecture"), "llama");
  }
}

TEST(Writer, ATensorLargerThanTheLimitGetsAFileOfItsOwn) {
  const Layout layout = plan_layout("m.gguf", some_keys(), some_tensors(), 400);
  ASSERT_GT(layout.shards.size(), 2u);
  EXPECT_EQ(layout.shards[0].path, str("m-00001-of-0000", layout.shards.size(), ".gguf"));
  for (const Layout::Shard& shard : layout.shards) EXPECT_LE(shard.count, 1u);
}

TEST(Writer, FitsInOneFileWithoutSplitKeys) {
  const Layout whole = plan_layout("m.gguf", some_keys(), some_tensors());
  const Layout roomy = plan_layout("m.gguf", some_keys(), some_tensors(), whole.bytes);
  EXPECT_EQ(roomy.shards.size(), 1u);
  EXPECT_EQ(roomy.shards[0].path, "m.gguf");
  EXPECT_EQ(roomy.shards[0].header, whole.shards[0].header);
  EXPECT_GT(plan_layout("m.gguf", some_keys(), some_tensors(), whole.bytes - 1).shards.size(), 1u);
}

TEST(Writer, ThreadsMayWriteParts) {
  const test::Scratch scratch;
  Writer writer{plan_layout(scratch / "out.gguf", {}, some_tensors()), Existing::refuse};
  std::vector<std::thread> threads;
  for (size_t part = 0; part < 4; ++part)
    threads.emplace_back([&writer, part] {
      for (size_t t = 0; t < 3; ++t) {
        const std::string data = data_of(t, bytes_of(writer.layout().tensors[t]));
        for (size_t at = part; at < data.size(); at += 4)
          writer.write(t, static_cast<int64_t>(at), test::as_bytes(data).subspan(at, 1));
      }
    });
  for (std::thread& thread : threads) thread.join();
  writer.commit();
  const ModelSource file = gguf::read_model(scratch / "out.gguf");
  for (size_t t = 0; t < 3; ++t)
    EXPECT_TRUE(std::ranges::equal(file.tensors()[t].contiguous(),
                                   test::as_bytes(data_of(t, bytes_of(writer.layout().tensors[t])))));
}

TEST(Writer, RefusesAnIncompleteTensor) {
  const test::Scratch scratch;
  {
    Writer writer{plan_layout(scratch / "out.gguf", {}, some_tensors()), Existing::refuse};
    EXPECT_NE(problem_of([&] { writer.commit(); }).find("token_embd.weight"), std::string::npos);
    writer.write(0, 0, test::as_bytes(data_of(0, 198)));
    writer.write(1, 0, test::as_bytes(data_of(1, 1151)));
    writer.write(2, 0, test::as_bytes(data_of(2, 20)));
    EXPECT_NE(problem_of([&] { writer.commit(); }).find("blk.0.ffn_down_exps.weight"), std::string::npos);
  }
  EXPECT_EQ(files_in(scratch.path()), 0u);
}

TEST(Writer, RefusesBytesWrittenTwiceOrOutside) {
  const test::Scratch scratch;
  Writer writer{plan_layout(scratch / "out.gguf", {}, some_tensors()), Existing::refuse};
  const std::string data = data_of(0, 198);
  writer.write(0, 10, test::as_bytes(data).first(10));
  EXPECT_THROW(writer.write(0, 19, test::as_bytes(data).first(1)), Error);
  EXPECT_THROW(writer.write(0, 0, test::as_bytes(data).first(11)), Error);
  EXPECT_THROW(writer.write(0, 190, test::as_bytes(data).first(9)), Error);
  EXPECT_THROW(writer.write(0, -1, test::as_bytes(data).first(1)), Error);
  EXPECT_THROW(writer.write(0, 199, {}), Error);
}

TEST(Writer, ReplacesOnlyWhenTold) {
  const test::Scratch scratch;
  const Layout layout = plan_layout(scratch / "out.gguf", some_keys(), some_tensors(), 600);
  ASSERT_GT(layout.shards.size(), 1u);
  write_file(layout.shards[1].path, "theirs", Existing::refuse);
  EXPECT_EQ(problem_of([&] { Writer(layout, Existing::refuse); }), "the output exists already");
  EXPECT_EQ(contents(layout.shards[1].path), "theirs");
  EXPECT_EQ(files_in(scratch.path()), 1u);
  for (int round = 0; round < 2; ++round) {
    Writer writer{layout, Existing::replace};
    write_all(writer);
    writer.commit();
    EXPECT_EQ(gguf::read_model(layout.shards[0].path).tensors().size(), 3u);
    EXPECT_EQ(files_in(scratch.path()), layout.shards.size());
  }
}

TEST(Writer, LeavesNothingWhenANameIsTakenMeanwhile) {
  const test::Scratch scratch;
  const Layout layout = plan_layout(scratch / "out.gguf", some_keys(), some_tensors(), 600);
  {
    Writer writer{layout, Existing::refuse};
    write_all(writer);
    write_file(layout.shards[0].path, "theirs", Existing::refuse);
    EXPECT_THROW(writer.commit(), Error);
  }
  EXPECT_EQ(files_in(scratch.path()), 1u);
  EXPECT_EQ(contents(layout.shards[0].path), "theirs");
}

TEST(PlanLayout, RefusesWhatGgufCannotHold) {
  const auto plan = [](std::vector<OutputKey> keys, std::vector<OutputTensor> tensors) {
    return problem_of([&] { plan_layout("out.gguf", keys, tensors); });
  };
  EXPECT_EQ(plan({}, {{"a", FormatId::q4_K, 1, {256, 1, 1, 1}}}), "");
  EXPECT_NE(plan({}, {{"a", FormatId::q4_K, 1, {704, 1, 1, 1}}}).find("q4_K cannot hold"), std::string::npos);
  EXPECT_NE(plan({}, {{"a", FormatId::f32, 0, {1, 1, 1, 1}}}), "");
  EXPECT_NE(plan({}, {{"a", FormatId::f32, 5, {1, 1, 1, 1}}}), "");
  EXPECT_NE(plan({}, {{"a", FormatId::f32, 1, {0, 1, 1, 1}}}), "");
  EXPECT_NE(plan({}, {{std::string(64, 'n'), FormatId::f32, 1, {1, 1, 1, 1}}}), "");
  EXPECT_NE(plan({}, {{"a", FormatId::f32, 1, {1, 1, 1, 1}}, {"a", FormatId::f32, 1, {1, 1, 1, 1}}}), "");
  EXPECT_NE(plan({}, {{"a", FormatId::f32, 2, {int64_t{1} << 40, int64_t{1} << 30, 1, 1}}}), "");
  EXPECT_NE(plan({}, {{"a", FormatId::f32, 2, {int64_t{1} << 30, int64_t{1} << 30, 1, 1}}}),
            "");  // 2^62 bytes
  EXPECT_NE(plan({{"k", MetadataValue{true}}, {"k", MetadataValue{true}}}, {}), "");
  EXPECT_NE(plan({{"", MetadataValue{true}}}, {}), "");
}

TEST(PlanLayout, DropsKeysOfTheOldFile) {
  const Layout layout = plan_layout("out.gguf",
                                    {{"general.alignment", MetadataValue{uint32_t{64}}},
                                     {"split.no", MetadataValue{uint16_t{0}}},
                                     {"split.count", MetadataValue{uint16_t{4}}}},
                                    {});
  EXPECT_EQ(layout.shards[0].header, plan_layout("out.gguf", {}, {}).shards[0].header);
}

TEST(Covered, IsWholeExactlyWhenEveryByteWasAddedOnce) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random{seed};
    Covered covered;
    std::vector<bool> bytes(40, false);
    for (int step = 0; step < 60; ++step) {
      const auto begin = static_cast<size_t>(random() % 40), end = begin + random() % (41 - begin);
      const bool is_free = std::none_of(bytes.begin() + static_cast<long>(begin),
                                        bytes.begin() + static_cast<long>(end), [](bool b) { return b; });
      EXPECT_EQ(covered.add(static_cast<int64_t>(begin), static_cast<int64_t>(end)), is_free);
      if (is_free)
        std::fill(bytes.begin() + static_cast<long>(begin), bytes.begin() + static_cast<long>(end), true);
      EXPECT_EQ(covered.is_whole(40), std::all_of(bytes.begin(), bytes.end(), [](bool b) { return b; }));
    }
  }
  EXPECT_TRUE(Covered{}.is_whole(0));
}

}  // namespace
}  // namespace snug::gguf
