#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>

#include "base/half.hpp"
#include "base/str.hpp"
#include "snug/model.hpp"
#include "support/scratch.hpp"

namespace snug {
namespace {

int make(const std::filesystem::path& out, const std::string& options) {
  return std::system(str(MAKE_MODEL, " ", options, " -o ", out.string(), " >/dev/null 2>&1").c_str());
}

std::string contents(const std::filesystem::path& path) {
  std::ifstream in{path, std::ios::binary};
  return {std::istreambuf_iterator<char>{in}, {}};
}

TEST(MakeModel, GivesTheSameBytesForTheSameOptions) {
  const test::Scratch scratch;
  ASSERT_EQ(make(scratch / "a.gguf", "--layers 1 --vocab 300"), 0);
  ASSERT_EQ(make(scratch / "b.gguf", "--layers 1 --vocab 300"), 0);
  ASSERT_EQ(make(scratch / "c.gguf", "--layers 1 --vocab 300 --seed 2"), 0);
  EXPECT_EQ(contents(scratch / "a.gguf"), contents(scratch / "b.gguf"));
  EXPECT_NE(contents(scratch / "a.gguf"), contents(scratch / "c.gguf"));
}

TEST(MakeModel, MakesAwkwardRows) {
  const test::Scratch scratch;
  ASSERT_EQ(make(scratch / "m.gguf", "--width 704 --ffn 2112 --layers 1 --vocab 300 --type bf16"), 0);
  const ModelSource model = open_model(scratch / "m.gguf");
  EXPECT_EQ(model.find("blk.0.attn_q.weight")->cols(), 704);
  EXPECT_EQ(model.find("blk.0.ffn_down.weight")->cols(), 2112);
  EXPECT_EQ(model.find("blk.0.ffn_down.weight")->format, FormatId::bf16);
  EXPECT_EQ(model.metadata().array("tokenizer.ggml.tokens")->strings().size(), 300u);
}

TEST(MakeModel, MakesExpertsAndSplits) {
  const test::Scratch scratch;
  ASSERT_EQ(
      make(scratch / "m.gguf", "--arch qwen3moe --experts 4 --layers 2 --vocab 300 --type f32 --split 3MB"),
      0);
  std::filesystem::path first;
  for (const auto& entry : std::filesystem::directory_iterator{scratch.path()})
    if (entry.path().string().find("-00001-of-") != std::string::npos) first = entry.path();
  const ModelSource model = open_model(first);
  EXPECT_GT(model.files().size(), 2u);
  EXPECT_EQ(model.find("blk.1.ffn_up_exps.weight")->experts(), 4);
  EXPECT_EQ(model.metadata().integer("qwen3moe.expert_used_count"), 2);
  EXPECT_TRUE(model.find("blk.0.attn_k_norm.weight"));
}

TEST(MakeModel, WeightsAreHeavyTailedAroundZero) {
  const test::Scratch scratch;
  ASSERT_EQ(make(scratch / "m.gguf", "--layers 1 --vocab 300 --type f16 --width 512 --ffn 1024"), 0);
  const ModelSource model = open_model(scratch / "m.gguf");
  const auto data = model.find("blk.0.ffn_up.weight")->contiguous();
  double sum = 0, square = 0, fourth = 0;
  const size_t count = data.size() / 2;
  for (size_t i = 0; i < count; ++i) {
    uint16_t bits;
    std::memcpy(&bits, data.data() + 2 * i, 2);
    const double value = static_cast<double>(from_f16(bits)) * std::sqrt(512.0);
    sum += value;
    square += value * value;
    fourth += value * value * value * value;
  }
  const double n = static_cast<double>(count), variance = square / n;
  EXPECT_NEAR(sum / n, 0, 0.01);
  EXPECT_NEAR(variance, 1.5, 0.3);
  EXPECT_GT(fourth / n / variance / variance, 4.0);  // 3 for a normal distribution
}

TEST(MakeModel, SparseTakesNextToNoDisk) {
  const test::Scratch scratch;
  ASSERT_EQ(make(scratch / "m.gguf", "--fill sparse --layers 40 --width 4096 --ffn 14336 --vocab 300 --tied"),
            0);
  struct stat info {};
  ASSERT_EQ(stat((scratch / "m.gguf").c_str(), &info), 0);
  EXPECT_GT(info.st_size, int64_t{10} << 30);
  EXPECT_LT(info.st_blocks * 512, 16 << 20);
  const ModelSource model = open_model(scratch / "m.gguf");
  const auto last_norm = model.find("output_norm.weight")->contiguous().last(4);
  float value;
  std::memcpy(&value, last_norm.data(), 4);
  EXPECT_EQ(value, 1.0f);
}

TEST(MakeModel, RefusesShapesThatCannotBe) {
  const test::Scratch scratch;
  for (const char* options :
       {"--width 705", "--heads 3", "--heads 4 --kv-heads 3", "--arch qwen3 --experts 4", "--arch gpt2"})
    EXPECT_NE(make(scratch / "m.gguf", options), 0) << options;
  EXPECT_FALSE(std::filesystem::exists(scratch / "m.gguf"));
}

TEST(MakeArchModel, GivesTheSameBytesForTheSameSeed) {
  const test::Scratch scratch;
  const auto make = [&](const char* file, const char* options) {
    return std::system(str(MAKE_ARCH_MODEL, " ", options, " -o ", (scratch / file).string(), " >/dev/null 2>&1").c_str());
  };
  ASSERT_EQ(make("a.gguf", "gemma4_experts"), 0);
  ASSERT_EQ(make("b.gguf", "gemma4_experts --seed 0"), 0);
  ASSERT_EQ(make("c.gguf", "gemma4_experts --seed 1"), 0);
  EXPECT_EQ(contents(scratch / "a.gguf"), contents(scratch / "b.gguf"));
  EXPECT_NE(contents(scratch / "a.gguf"), contents(scratch / "c.gguf"));
  EXPECT_NE(make("d.gguf", "gemma9"), 0);
  EXPECT_FALSE(std::filesystem::exists(scratch / "d.gguf"));
}

}  // namespace
}  // namespace snug
