#include "imatrix/importance.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "base/str.hpp"
#include "snug/error.hpp"
#include "gguf/reader.hpp"
#include "support/gguf_bytes.hpp"
#include "support/scratch.hpp"
#include "support/tiny_model.hpp"

namespace snug {
namespace {

using test::GgufBytes;

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

GgufBytes head() {
  GgufBytes file;
  file.key("general.type", "imatrix");
  file.key("imatrix.datasets", 9,
           GgufBytes::le<uint32_t>(8) + GgufBytes::le<uint64_t>(1) + GgufBytes::text("calib.txt"));
  file.key_u32("imatrix.chunk_count", 3).key_u32("imatrix.chunk_size", 256);
  return file;
}

Importance load(const std::string& bytes) {
  return Importance::from(read_imatrix(test::as_bytes(bytes), "im"), "im");
}
Importance load(const GgufBytes& file) {
  return load(file.bytes());
}

template <class Call>
void expect_refusal(Call call, const std::string& part) {
  try {
    call();
    FAIL() << "no error with '" << part << "'";
  } catch (const Error& error) {
    EXPECT_NE(std::string{error.what()}.find(part), std::string::npos) << error.what();
    EXPECT_FALSE(error.where().empty());
    EXPECT_FALSE(error.remedy().empty());
  }
}

struct LegacyEntry {
  std::string name;
  int32_t calls;
  std::vector<float> values;
};

std::string legacy(const std::vector<LegacyEntry>& entries, const std::string& trailer = {}) {
  std::string bytes = GgufBytes::le(static_cast<int32_t>(entries.size()));
  for (const LegacyEntry& e : entries) {
    bytes += GgufBytes::le(static_cast<int32_t>(e.name.size())) + e.name + GgufBytes::le(e.calls);
    bytes += GgufBytes::le(static_cast<int32_t>(e.values.size()));
    for (const float value : e.values) bytes += GgufBytes::le(value);
  }
  return bytes + trailer;
}

/// A model of F32 tensors of zeros.
std::string model(const std::vector<std::pair<std::string, std::vector<int64_t>>>& tensors) {
  GgufBytes file;
  file.key("general.architecture", "llama");
  for (const auto& [name, shape] : tensors) {
    int64_t weights = 1;
    for (const int64_t dim : shape) weights *= dim;
    file.f32(name, shape, std::vector<float>(static_cast<size_t>(weights)));
  }
  return file.bytes();
}

TEST(Importance, IsTheMeanOverTokens) {
  const Importance importance =
      load(head().f32("a.in_sum2", {2}, {8, 18}).f32("a.counts", {1}, {2}).f32("a.in_sum", {2}, {4, -5}));
  const TensorImportance* a = importance.find("a");
  ASSERT_TRUE(a);
  EXPECT_EQ(a->cols, 2);
  EXPECT_EQ(a->mats, 1);
  EXPECT_EQ(a->mean_square, (std::vector<float>{4, 9}));
  EXPECT_EQ(a->mean, (std::vector<float>{2, -2.5}));
  EXPECT_EQ(a->token_share(0), 1.0);
  EXPECT_EQ(a->columns(0).mean_square.size(), 2u);
  EXPECT_EQ(a->columns(5).mean_square.size(), 2u);  // one matrix serves all
  EXPECT_EQ(importance.chunks(), 3);
  EXPECT_EQ(importance.datasets(), std::vector<std::string>{"calib.txt"});
  EXPECT_EQ(importance.find("b"), nullptr);
}

TEST(Importance, OfExpertsIsPerExpertAndShrinksTheUnseen) {
  const Importance importance = load(head()
                                         .f32("e.in_sum2", {2, 3}, {4, 8, 0, 0, 30, 60})
                                         .f32("e.counts", {1, 3}, {1, 0, 3})
                                         .f32("e.in_sum", {2, 3}, {1, 2, 0, 0, 9, -6}));
  const TensorImportance* e = importance.find("e");
  ASSERT_TRUE(e);
  EXPECT_EQ(e->mats, 3);
  EXPECT_EQ(e->shrunk, 1);
  EXPECT_EQ(e->mean_square, (std::vector<float>{4, 8, 7, 14, 10, 20}));
  EXPECT_EQ(e->mean, (std::vector<float>{1, 2, 2, 0, 3, -2}));
  EXPECT_EQ(e->columns(2).mean_square[1], 20);
  EXPECT_DOUBLE_EQ(e->token_share(0), 0.75);
  EXPECT_DOUBLE_EQ(e->token_share(1), 0.0);
  EXPECT_DOUBLE_EQ(e->token_share(2), 2.25);
}

TEST(Importance, TakesOneCountForAllMatricesAsOlderFilesHaveIt) {
  const Importance importance = load(head().f32("e.in_sum2", {1, 2}, {4, 8}).f32("e.counts", {1}, {2}));
  EXPECT_EQ(importance.find("e")->mean_square, (std::vector<float>{2, 4}));
  EXPECT_TRUE(importance.find("e")->mean.empty());
}

TEST(Importance, ATensorNeverUsedHasNone) {
  const Importance importance = load(head()
                                         .f32("a.in_sum2", {2}, {0, 0})
                                         .f32("a.counts", {1}, {0})
                                         .f32("b.in_sum2", {2}, {1, 1})
                                         .f32("b.counts", {1}, {1}));
  EXPECT_EQ(importance.find("a"), nullptr);
  EXPECT_TRUE(importance.find("b"));
}

TEST(Importance, TheSquareOfTheMeanNeverPassesTheMeanSquare) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random{seed};
    std::normal_distribution<float> normal{0.0f, 0.01f};
    const float value =
        1 + normal(random);  // the same in every token: the mean square is the square of the mean
    const size_t tokens = 1 + random() % 1000;
    float sum = 0, sum2 = 0;
    for (size_t t = 0; t < tokens; ++t) {
      sum += value;
      sum2 += value * value;
    }
    const Importance importance = load(head()
                                           .f32("a.in_sum2", {1}, {sum2})
                                           .f32("a.counts", {1}, {static_cast<float>(tokens)})
                                           .f32("a.in_sum", {1}, {-sum}));
    const double mean = importance.find("a")->mean[0], square = importance.find("a")->mean_square[0];
    EXPECT_LE(mean * mean, square);
    EXPECT_NEAR(mean, -value, 1e-3);
  }
}

TEST(Importance, RefusesSumsThatContradictEachOther) {
  expect_refusal(
      [] { load(head().f32("a.in_sum2", {1}, {4}).f32("a.counts", {1}, {1}).f32("a.in_sum", {1}, {2.1f})); },
      "in_sum of 'a' contradicts");
}

TEST(Importance, RefusesBadNumbersAndNamesTheTensor) {
  for (const float bad : {-1.0f, kNaN, std::numeric_limits<float>::infinity()}) {
    expect_refusal(
        [&] {
          load(head().f32("a.in_sum2", {2}, {1, bad}).f32("a.counts", {1}, {1}));
        },
        "'a.in_sum2', column 1");
    expect_refusal([&] { load(head().f32("a.in_sum2", {1}, {1}).f32("a.counts", {1}, {bad})); },
                   "'a.counts'");
    expect_refusal([&] { load(legacy({{"a", 1, {1, bad}}})); }, "'a', column 1");
  }
  expect_refusal(
      [] { load(head().f32("a.in_sum2", {1}, {1}).f32("a.counts", {1}, {1}).f32("a.in_sum", {1}, {kNaN})); },
      "'a.in_sum'");
  expect_refusal([] { load(head().f32("a.in_sum2", {1}, {1}).f32("a.counts", {1}, {1e-30f})); },
                 "a count of");
}

TEST(Importance, RefusesWhatLacksAPart) {
  expect_refusal([] { load(head().f32("a.in_sum2", {1}, {1})); }, "no 'a.counts'");
  expect_refusal([] { load(head().f32("a.counts", {1}, {1})); }, "no 'a.in_sum2'");
  expect_refusal([] { load(head()); }, "no statistics");
  expect_refusal(
      [] {
        load(head().f32("a.in_sum2", {1, 3}, {1, 1, 1}).f32("a.counts", {1, 2}, {1, 1}));
      },
      "a.counts");
  expect_refusal(
      [] {
        load(head().f32("a.in_sum2", {2}, {1, 1}).f32("a.counts", {1}, {1}).f32("a.in_sum", {1}, {1}));
      },
      "a.in_sum");
  expect_refusal([] { load(head().tensor("a.in_sum2", {2}, 1, "xxxx").f32("a.counts", {1}, {1})); },
                 "not F32");
  for (const char* missing : {"imatrix.datasets", "imatrix.chunk_count", "imatrix.chunk_size"}) {
    std::string bytes = head().f32("a.in_sum2", {1}, {1}).f32("a.counts", {1}, {1}).bytes();
    bytes.replace(bytes.find(missing), 7, "nothing");
    expect_refusal([&] { load(bytes); }, missing);
  }
  GgufBytes file;
  file.key_u32("imatrix.datasets", 1).key_u32("imatrix.chunk_count", 3).key_u32("imatrix.chunk_size", 256);
  expect_refusal([&] { load(file); }, "imatrix.datasets");
}

TEST(Importance, TellsAModelNamedByMistake) {
  expect_refusal([] { load(model({{"a", {2}}})); }, "this is a model, not an imatrix");
}

TEST(LegacyImatrix, IsReadWithItsTrailer) {
  const std::string trailer = GgufBytes::le<int32_t>(31) + GgufBytes::le<int32_t>(4) + "text";
  const Importance importance = load(legacy({{"b", 4, {8, 12}}, {"a", 0, {3}}}, trailer));
  EXPECT_EQ(importance.find("b")->mean_square, (std::vector<float>{2, 3}));
  EXPECT_EQ(importance.find("a")->mean_square, (std::vector<float>{3}));
  EXPECT_EQ(importance.chunks(), 31);
  EXPECT_EQ(importance.datasets(), std::vector<std::string>{"text"});
  EXPECT_EQ(load(legacy({{"a", 1, {3}}})).chunks(), 0);  // the oldest files have no trailer
}

TEST(LegacyImatrix, EveryOtherPrefixIsAnError) {
  const std::string trailer = GgufBytes::le<int32_t>(31) + GgufBytes::le<int32_t>(4) + "text";
  const std::string whole = legacy({{"b", 4, {8, 12}}, {"a", 1, {3}}}, trailer);
  const size_t without_trailer = whole.size() - trailer.size();
  for (size_t length = 0; length < whole.size(); ++length) {
    if (length == without_trailer || length == without_trailer + 4) continue;  // older forms
    EXPECT_THROW(load(whole.substr(0, length)), Error) << length;
  }
  EXPECT_THROW(load(whole + "x"), Error);
}

TEST(LegacyImatrix, RefusesHostileNumbers) {
  expect_refusal([] { load("some text file\nwith lines\n"); }, "no imatrix");
  expect_refusal([] { load(""); }, "no imatrix");
  for (const int32_t bad : {-1, 0, 0x7fffffff}) {
    std::string bytes = legacy({{"name", 1, {1, 2}}});
    for (const size_t at : {size_t{0}, size_t{4}, size_t{16}}) {  // entries, name length, values
      std::string changed = bytes;
      changed.replace(at, 4, GgufBytes::le(bad));
      EXPECT_THROW(load(changed), Error) << bad << " at " << at;
    }
  }
  expect_refusal([] { load(legacy({{"a", -1, {1}}})); }, "calls is -1");
  expect_refusal([] { load(legacy({{"a", 1, {1}}, {"a", 1, {1}}})); }, "twice");
}

TEST(Importance, AgainstAModel) {
  const std::string bytes =
      model({{"blk.0.ffn_up.weight", {2, 3}}, {"blk.0.ffn_down.weight", {3, 2}}, {"norm.weight", {2}}});
  const ModelSource reader = gguf::read_model(test::as_bytes(bytes), "model.gguf");
  Importance fits = load(head()
                             .f32("blk.0.ffn_up.weight.in_sum2", {2}, {1, 1})
                             .f32("blk.0.ffn_up.weight.counts", {1}, {1})
                             .f32("other.in_sum2", {5}, {1, 1, 1, 1, 1})
                             .f32("other.counts", {1}, {1}));
  const Importance::Match match = fits.check_against(reader);
  EXPECT_EQ(match.unknown, std::vector<std::string>{"other"});
  EXPECT_EQ(match.without, std::vector<std::string>{"blk.0.ffn_down.weight"});
  EXPECT_TRUE(match.shrunk.empty());

  Importance differs = load(
      head().f32("blk.0.ffn_up.weight.in_sum2", {3}, {1, 1, 1}).f32("blk.0.ffn_up.weight.counts", {1}, {1}));
  for (const char* part : {"im and model.gguf", "has 3 columns there, 2 in the model"})
    expect_refusal([&] { differs.check_against(reader); }, part);
}

TEST(Importance, ExpertsMustAgreeInNumber) {
  const std::string name = "blk.0.ffn_up_exps.weight";
  const std::string bytes = model({{name, {2, 1, 3}}});
  const ModelSource reader = gguf::read_model(test::as_bytes(bytes), "model.gguf");
  Importance two =
      load(head().f32(name + ".in_sum2", {2, 2}, {1, 1, 1, 1}).f32(name + ".counts", {1, 2}, {1, 1}));
  expect_refusal([&] { two.check_against(reader); },
                 "2 x 2 experts columns there, 2 x 3 experts in the model");
  Importance three = load(
      head().f32(name + ".in_sum2", {2, 3}, {1, 1, 0, 0, 1, 1}).f32(name + ".counts", {1, 3}, {1, 0, 1}));
  EXPECT_EQ(three.check_against(reader).shrunk, std::vector<std::string>{name});
  Importance one = load(head().f32(name + ".in_sum2", {2}, {1, 1}).f32(name + ".counts", {1}, {1}));
  EXPECT_TRUE(one.check_against(reader).unknown.empty());
}

TEST(LegacyImatrix, ExpertsAreDividedByTheModel) {
  const std::string name = "blk.0.ffn_up_exps.weight";
  const std::string bytes = model({{name, {2, 1, 3}}});
  const ModelSource reader = gguf::read_model(test::as_bytes(bytes), "model.gguf");
  Importance importance = load(legacy({{name, 2, {4, 8, 2, 2, 6, 10}}}));  // the second was never hit
  const Importance::Match match = importance.check_against(reader);
  EXPECT_EQ(match.shrunk, std::vector<std::string>{name});
  const TensorImportance* tensor = importance.find(name);
  EXPECT_EQ(tensor->cols, 2);
  EXPECT_EQ(tensor->mats, 3);
  EXPECT_EQ(tensor->mean_square, (std::vector<float>{2, 4, 2.5, 4.5, 3, 5}));
  EXPECT_EQ(tensor->counts, (std::vector<float>{2, 0, 2}));
  EXPECT_EQ(importance.check_against(reader).shrunk, match.shrunk);  // once is as good as twice
}

Imatrix random_imatrix(uint64_t seed) {
  std::mt19937_64 random{seed};
  std::uniform_real_distribution<float> uniform{0.01f, 1.0f};
  Imatrix imatrix;
  imatrix.datasets = {"calib.txt", "more.txt"};
  imatrix.chunks = static_cast<int64_t>(random() % 100);
  imatrix.chunk_tokens = 512;
  for (size_t t = 0; t < 1 + random() % 6; ++t) {
    ImatrixSums sums;
    sums.cols = static_cast<int64_t>(1 + random() % 40);
    sums.mats = static_cast<int64_t>(1 + random() % 4);
    for (int64_t m = 0; m < sums.mats; ++m) {
      const float count = static_cast<float>(random() % 3 * 700);
      sums.counts.push_back(count);
      for (int64_t j = 0; j < sums.cols; ++j) {
        sums.in_sum2.push_back(count * uniform(random));
        sums.in_sum.push_back(0.1f * count * uniform(random) * uniform(random));
      }
    }
    if (random() % 2) sums.in_sum.clear();
    imatrix.tensors.emplace(str("blk.", t, ".weight"), std::move(sums));
  }
  return imatrix;
}

TEST(ImatrixFile, RoundTripIsExact) {
  for (uint64_t seed = 0; seed < 30; ++seed) {
    SCOPED_TRACE(seed);
    const test::Scratch scratch;
    const Imatrix written = random_imatrix(seed);
    write_imatrix(scratch / "i.gguf", written, Existing::refuse);
    const Imatrix read = read_imatrix(scratch / "i.gguf");
    EXPECT_EQ(read.datasets, written.datasets);
    EXPECT_EQ(read.chunks, written.chunks);
    EXPECT_EQ(read.chunk_tokens, written.chunk_tokens);
    ASSERT_EQ(read.tensors.size(), written.tensors.size());
    for (const auto& [name, sums] : written.tensors) {
      const ImatrixSums& back = read.tensors.at(name);
      EXPECT_EQ(back.cols, sums.cols);
      EXPECT_EQ(back.mats, sums.mats);
      EXPECT_EQ(back.in_sum2, sums.in_sum2);
      EXPECT_EQ(back.in_sum, sums.in_sum);
      EXPECT_EQ(back.counts, sums.counts);
    }
  }
}

TEST(ImatrixFile, TheLegacyFormHoldsTheSameMeanSquares) {
  for (uint64_t seed = 0; seed < 30; ++seed) {
    SCOPED_TRACE(seed);
    const test::Scratch scratch;
    const Imatrix written = random_imatrix(seed);
    write_legacy_imatrix(scratch / "i.dat", written, Existing::refuse);
    const Imatrix read = read_imatrix(scratch / "i.dat");
    EXPECT_EQ(read.datasets, std::vector<std::string>{"calib.txt"});
    EXPECT_EQ(read.chunks, written.chunks);
    for (const auto& [name, sums] : written.tensors) {
      const ImatrixSums& back = read.tensors.at(name);
      for (size_t i = 0; i < sums.in_sum2.size(); ++i) {
        const float count = sums.counts[i / static_cast<size_t>(sums.cols)];
        const float wanted = count > 0 ? sums.in_sum2[i] / count : 1.0f;
        EXPECT_NEAR(back.in_sum2[i] / back.counts[0], wanted, 1e-6 * wanted);
      }
    }
  }
}

TEST(Importance, ReadsRealFiles) {
  for (const std::string& name : test::trained_models()) {
    SCOPED_TRACE(name);
    Importance importance = Importance::load(test::trained_imatrix(name));
    const ModelSource model = open_model(test::trained_model(name));
    const Importance::Match match = importance.check_against(model);
    EXPECT_TRUE(match.unknown.empty());
    const std::vector<std::string> looked_up = {
        "token_embd.weight"};  // no matrix product where the head is another
    EXPECT_EQ(match.without, name == "tiny" ? std::vector<std::string>{} : looked_up);
    for (const auto& [tensor, values] : importance.tensors()) {
      EXPECT_EQ(values.mean.size(), values.mean_square.size()) << tensor;
      double share = 0;
      for (int64_t mat = 0; mat < values.mats; ++mat) share += values.token_share(mat);
      EXPECT_NEAR(share, static_cast<double>(values.mats), 1e-6);
    }
    EXPECT_TRUE(importance.find("blk.0.attn_q.weight"));
  }
  if (!test::shared_folder().empty()) {
    EXPECT_EQ(Importance::load(test::trained_imatrix("moe")).find("blk.0.ffn_down_exps.weight")->mats, 8);
  }
  expect_refusal([&] { Importance::load(test::tiny_model()); }, "this is a model");
}

TEST(LegacyImatrix, ReadsARealFile) {
  const std::filesystem::path shared = test::shared_folder();
  if (shared.empty()) GTEST_SKIP() << "no shared folder beside the project";
  const Importance importance = Importance::load(shared / "cases" / "imatrix" / "tinyllama-like.dat");
  EXPECT_EQ(importance.tensors().size(), 154u);
  EXPECT_EQ(importance.chunks(), 365);
  EXPECT_EQ(importance.datasets(), std::vector<std::string>{"imatrix-training-full-3"});
  const TensorImportance* down = importance.find("blk.21.ffn_down.weight");
  ASSERT_TRUE(down);
  EXPECT_EQ(down->cols, 5632);
  EXPECT_FLOAT_EQ(importance.find("blk.21.ffn_up.weight")->mean_square[0], 27.720335f / 365);
}

}  // namespace
}  // namespace snug
