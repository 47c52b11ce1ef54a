#include "gguf/reader.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <random>

#include "gguf/layout.hpp"
#include "snug/error.hpp"
#include "snug/model.hpp"
#include "support/gguf_bytes.hpp"
#include "support/scratch.hpp"
#include "support/tiny_model.hpp"

namespace snug::gguf {
namespace {

using test::GgufBytes;

std::string floats(size_t count) {
  return std::string(count * 4, '\1');
}

/// Every value type, an array of each kind, three tensors.
GgufBytes small_model() {
  GgufBytes file;
  file.key("general.architecture", "llama").key("u8", 0, GgufBytes::le<uint8_t>(200));
  file.key("i8", 1, GgufBytes::le<int8_t>(-3)).key("u16", 2, GgufBytes::le<uint16_t>(65535));
  file.key("i16", 3, GgufBytes::le<int16_t>(-300)).key_u32("u32", 4000000000u);
  file.key("i32", 5, GgufBytes::le<int32_t>(-70000)).key("f32", 6, GgufBytes::le(1.5f));
  file.key("bool", 7, GgufBytes::le<uint8_t>(1)).key("u64", 10, GgufBytes::le<uint64_t>(1ull << 63));
  file.key("i64", 11, GgufBytes::le<int64_t>(-5000000000)).key("f64", 12, GgufBytes::le(0.1));
  file.key("words", 9,
           GgufBytes::le<uint32_t>(8) + GgufBytes::le<uint64_t>(3) + GgufBytes::text("a") +
               GgufBytes::text("") + GgufBytes::text("long word"));
  file.key("numbers", 9,
           GgufBytes::le<uint32_t>(5) + GgufBytes::le<uint64_t>(2) + GgufBytes::le<int32_t>(-1) +
               GgufBytes::le<int32_t>(7));
  file.tensor("token_embd.weight", {4, 3}, 0, floats(12));
  file.tensor("blk.0.ffn_down_exps.weight", {32, 2, 3}, 8, std::string(6 * 34, '\2'));
  file.tensor("output_norm.weight", {5}, 1, std::string(10, '\3'));
  return file;
}

void open(const std::string& bytes) {
  gguf::read_model(test::as_bytes(bytes), "bad.gguf");
}

/// The message of the Error that opening throws; empty where it throws none.
std::string refusal(const std::string& bytes) {
  try {
    open(bytes);
  } catch (const Error& error) {
    EXPECT_NE(error.where().find("bad.gguf: byte "), std::string::npos) << error.what();
    EXPECT_FALSE(error.remedy().empty()) << error.what();
    return error.problem();
  }
  return {};
}

void expect_refusal(const GgufBytes& file, const std::string& part) {
  const std::string problem = refusal(file.bytes());
  EXPECT_NE(problem.find(part), std::string::npos) << "got '" << problem << "', wanted '" << part << "'";
}

TEST(ModelSource, ReadsEveryValueType) {
  const test::Scratch scratch;
  small_model().save(scratch / "model.gguf");
  const ModelSource file = gguf::read_model(scratch / "model.gguf");
  EXPECT_EQ(file.container(), "GGUF version 3");
  EXPECT_EQ(file.files().size(), 1u);
  EXPECT_EQ(file.bytes(), static_cast<int64_t>(std::filesystem::file_size(scratch / "model.gguf")));
  EXPECT_EQ(file.metadata().entries().size(), 14u);
  EXPECT_EQ(file.metadata().text("general.architecture"), "llama");
  EXPECT_EQ(file.metadata().integer("u8"), 200);
  EXPECT_EQ(file.metadata().integer("i8"), -3);
  EXPECT_EQ(file.metadata().integer("u16"), 65535);
  EXPECT_EQ(file.metadata().integer("i16"), -300);
  EXPECT_EQ(file.metadata().integer("u32"), 4000000000);
  EXPECT_EQ(file.metadata().integer("i32"), -70000);
  EXPECT_EQ(file.metadata().real("f32"), 1.5);
  EXPECT_EQ(file.metadata().boolean("bool"), true);
  EXPECT_EQ(file.metadata().integer("bool"), 1);
  EXPECT_EQ(file.metadata().integer("i64"), -5000000000);
  EXPECT_EQ(file.metadata().real("f64"), 0.1);
  EXPECT_EQ(file.metadata().real("i8"), -3.0);
  EXPECT_EQ(file.metadata().array("words")->strings(), (std::vector<std::string_view>{"a", "", "long word"}));
  EXPECT_EQ(file.metadata().array("numbers")->integers(), (std::vector<int64_t>{-1, 7}));
  EXPECT_EQ(file.metadata().array("numbers")->reals(), (std::vector<double>{-1, 7}));
}

TEST(ModelSource, SaysWhenAKeyIsMissingOrOfAnotherKind) {
  const std::string bytes = small_model().bytes();
  const ModelSource file = gguf::read_model(test::as_bytes(bytes), "model");
  EXPECT_EQ(file.metadata().integer("none"), std::nullopt);
  EXPECT_EQ(file.metadata().text("none"), std::nullopt);
  EXPECT_EQ(file.metadata().array("none"), nullptr);
  EXPECT_THROW(file.metadata().text("u8"), Error);
  EXPECT_THROW(file.metadata().integer("f32"), Error);
  EXPECT_THROW(file.metadata().integer("u64"), Error);  // beyond int64
  EXPECT_THROW(file.metadata().boolean("u8"), Error);
  EXPECT_THROW(file.metadata().array("u8"), Error);
  EXPECT_THROW(file.metadata().real("words"), Error);
  EXPECT_THROW(file.metadata().array("words")->integers(), Error);
  EXPECT_THROW(file.metadata().array("words")->reals(), Error);
  EXPECT_THROW(file.metadata().array("numbers")->strings(), Error);
}

TEST(ModelSource, FindsTensorsInPlace) {
  const std::string bytes = small_model().bytes();
  const ModelSource file = gguf::read_model(test::as_bytes(bytes), "model");
  ASSERT_EQ(file.tensors().size(), 3u);
  const Tensor* experts = file.find("blk.0.ffn_down_exps.weight");
  ASSERT_TRUE(experts);
  EXPECT_EQ(experts->format, FormatId::q8_0);
  EXPECT_EQ(experts->dims, 3);
  EXPECT_EQ(experts->cols(), 32);
  EXPECT_EQ(experts->rows(), 6);
  EXPECT_EQ(experts->experts(), 3);
  EXPECT_EQ(experts->row_bytes(), 34);
  EXPECT_EQ(experts->row(5).data(), experts->data + 5 * 34);
  EXPECT_EQ(file.tensors()[2].bytes(), 10);
  EXPECT_EQ(file.tensors()[2].data[9], std::byte{3});
  EXPECT_EQ(file.find("none"), nullptr);
}

TEST(ModelSource, ReadsVersion2AndOtherAlignments) {
  GgufBytes file;
  file.version = 2;
  file.alignment = 128;
  file.key_u32("general.alignment", 128).tensor("a", {3}, 0, floats(3)).tensor("b", {3}, 0, floats(3));
  const std::string bytes = file.bytes();
  const ModelSource reader = gguf::read_model(test::as_bytes(bytes), "model");
  EXPECT_EQ(reader.container(), "GGUF version 2");
  EXPECT_EQ(reader.tensors()[1].data - reader.tensors()[0].data, 128);
}

TEST(ModelSource, AFileWithoutTensorsNeedsNoData) {
  const std::string bytes = GgufBytes{}.key_u32("a", 1).bytes();
  EXPECT_EQ((gguf::read_model(test::as_bytes(bytes), "vocab").tensors().size()), 0u);
}

TEST(ReaderHostile, EveryPrefixIsAnErrorUnlessOnlyTheLastPaddingIsMissing) {
  const std::string whole = small_model().bytes();
  constexpr size_t kPadding = 32 - 10;  // behind the 10 bytes of the last tensor: nobody reads it
  for (size_t length = 0; length < whole.size() - kPadding; ++length)
    EXPECT_NE(refusal(whole.substr(0, length)), "") << length;
  for (size_t length = whole.size() - kPadding; length <= whole.size(); ++length)
    EXPECT_EQ(refusal(whole.substr(0, length)), "") << length;
}

TEST(ReaderHostile, ANameThatIsNotUtf8IsRefused) {
  expect_refusal(GgufBytes{}.tensor("blk.\xff", {3}, 0, floats(3)), "'blk.\\xff' is not UTF-8");
}

TEST(ReaderHostile, AnyOneByteChangedIsReadOrRefusedButNeverWorse) {
  const std::string whole = small_model().bytes();
  for (size_t at = 0; at < whole.size(); ++at)
    for (const int flip : {0x01, 0x80, 0xff}) {
      std::string changed = whole;
      changed[at] = static_cast<char>(changed[at] ^ flip);
      refusal(changed);
    }
}

TEST(ReaderHostile, RandomBytesBehindAGoodHead) {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random{seed};
    std::string bytes = small_model().bytes();
    const size_t from = 8 + random() % 400;
    for (size_t i = from; i < std::min(bytes.size(), from + 24); ++i) bytes[i] = static_cast<char>(random());
    refusal(bytes);
  }
}

TEST(ReaderHostile, RefusesAWrongHead) {
  GgufBytes file;
  file.magic = "ggml";
  expect_refusal(file, "not a GGUF file");
  file = {};
  file.magic = "\x1b[2J";
  expect_refusal(file, "\\x1b[2J");  // shown escaped
  file = {};
  for (const uint32_t version : {1u, 4u}) {
    file.version = version;
    expect_refusal(file, "GGUF version");
  }
  file.version = 0x03000000;
  expect_refusal(file, "big-endian");
  EXPECT_NE(refusal("").find("not a GGUF"), std::string::npos);
}

TEST(ReaderHostile, RefusesAbsurdCountsBeforeAllocating) {
  for (const int64_t absurd : {int64_t{1} << 40, int64_t{-1}, std::numeric_limits<int64_t>::max()}) {
    GgufBytes file = small_model();
    file.n_tensors = absurd;
    expect_refusal(file, "more than its");
    file = small_model();
    file.n_keys = absurd;
    expect_refusal(file, "more than its");
    for (const uint32_t element : {0u, 4u, 8u, 12u})
      EXPECT_NE(refusal(GgufBytes{}.key("k", 9, GgufBytes::le(element) + GgufBytes::le(absurd)).bytes()), "");
    EXPECT_NE(refusal(GgufBytes{}.key("k", 8, GgufBytes::le(absurd)).bytes()), "");
  }
  const std::string many = GgufBytes::le<uint32_t>(12) + GgufBytes::le<uint64_t>(1 << 29);
  expect_refusal(GgufBytes{}.key("k", 9, many), "ends within");
}

TEST(ReaderHostile, RefusesBadKeys) {
  expect_refusal(GgufBytes{}.key_u32("", 1), "empty key");
  expect_refusal(GgufBytes{}.key_u32("a", 1).key_u32("b", 1).key_u32("a", 2), "'a' is there twice");
  expect_refusal(GgufBytes{}.key("a", 13, "xxxx"), "value type 13");
  expect_refusal(GgufBytes{}.key("a", 0xffffffff, "xxxx"), "value type");
  expect_refusal(GgufBytes{}.key("a", 9, GgufBytes::le<uint32_t>(9) + GgufBytes::le<uint64_t>(0)),
                 "array of arrays");
  expect_refusal(GgufBytes{}.key("a", 9, GgufBytes::le<uint32_t>(77) + GgufBytes::le<uint64_t>(0)),
                 "value type 77");
  expect_refusal(GgufBytes{}.key("a\n\x1b[31m", 13, "xxxx").key("a", 13, ""), "value type 13");
  expect_refusal(GgufBytes{}.key_u32("a\n\x1b", 1).key_u32("a\n\x1b", 1), "'a\\x0a\\x1b' is there twice");
  for (const uint32_t alignment : {0u, 3u, 48u})
    expect_refusal(GgufBytes{}.key_u32("general.alignment", alignment), "power of two");
  expect_refusal(GgufBytes{}.key("general.alignment", 10, GgufBytes::le<uint64_t>(32)), "power of two");
}

TEST(ReaderHostile, RefusesBadTensors) {
  const std::string data = floats(8);
  expect_refusal(GgufBytes{}.tensor("a", {8}, 0, data).tensor("a", {8}, 0, data), "'a' is there twice");
  expect_refusal(GgufBytes{}.tensor("", {8}, 0, data), "name has 0 bytes");
  expect_refusal(GgufBytes{}.tensor(std::string(64, 'n'), {8}, 0, data), "name has 64 bytes");
  EXPECT_EQ(refusal(GgufBytes{}.tensor(std::string(63, 'n'), {8}, 0, data).bytes()), "");
  expect_refusal(GgufBytes{}.tensor("a", {}, 0, data), "0 dimensions");
  expect_refusal(GgufBytes{}.tensor("a", {8, 1, 1, 1, 1}, 0, data), "5 dimensions");
  for (const int64_t dim : {int64_t{0}, int64_t{-8}, std::numeric_limits<int64_t>::min()}) {
    expect_refusal(GgufBytes{}.tensor("a", {dim}, 0, data), "dimension of");
    expect_refusal(GgufBytes{}.tensor("a", {8, dim}, 0, data), "dimension of");
  }
  const int64_t big = int64_t{1} << 32;
  expect_refusal(GgufBytes{}.tensor("a", {big, big}, 0, data), "overflows");
  expect_refusal(GgufBytes{}.tensor("a", {big, big / 4}, 0, data),
                 "overflows");  // the weights fit, the bytes do not
  expect_refusal(GgufBytes{}.tensor("a", {big, big, big, big}, 0, data), "overflows");
  expect_refusal(GgufBytes{}.tensor("a", {big, 16}, 0, data), "past the end");
  expect_refusal(GgufBytes{}.tensor("a", {33}, 8, data), "cannot hold");
  for (const uint32_t type : {4u, 5u, 31u, 36u, 137u, 0xffffffffu})
    expect_refusal(GgufBytes{}.tensor("a", {8}, type, data), "not known");
}

TEST(ReaderHostile, WantsTensorsPackedStrictly) {
  const std::string data = floats(8);
  expect_refusal(GgufBytes{}.tensor_at("a", {8}, 0, 32, data), "gap");
  expect_refusal(GgufBytes{}.tensor("a", {8}, 0, data).tensor_at("b", {8}, 0, 0, data), "overlaps");
  expect_refusal(GgufBytes{}.tensor("a", {8}, 0, data).tensor_at("b", {8}, 0, 33, data), "gap");
  expect_refusal(GgufBytes{}.tensor("a", {8}, 0, data).tensor_at("b", {8}, 0, 64, data), "gap");
  expect_refusal(GgufBytes{}.tensor("a", {8}, 0, data).tensor_at("b", {8}, 0, ~uint64_t{0}, data), "gap");
}

TEST(ReaderHostile, TheFuzzersSeedsAreReadOrRefused) {
  size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator{std::filesystem::path{SNUG_SOURCE_DIR} /
                                                               "tests/fuzz/corpus/gguf"}) {
    SCOPED_TRACE(entry.path().string());
    try {
      gguf::read_model(entry.path());
    } catch (const Error& error) {
      EXPECT_FALSE(error.problem().empty());
    }
    ++files;
  }
  EXPECT_GE(files, 3u);
}

TEST(ModelSource, OpensRealFiles) {
  const std::filesystem::path shared = test::shared_folder();
  size_t opened = 0;
  for (const auto& folder : {std::filesystem::path{SNUG_SOURCE_DIR} / "models", test::data_folder() / "golden_arch",
                             shared / "models", shared / "reference/vocab"}) {
    if (!std::filesystem::exists(folder)) continue;
    for (const auto& entry : std::filesystem::directory_iterator{folder}) {
      if (entry.path().extension() != ".gguf") continue;
      SCOPED_TRACE(entry.path().string());
      const ModelSource file = gguf::read_model(entry.path());
      EXPECT_GT(file.metadata().entries().size(), 0u);
      for (const Tensor& tensor : file.tensors())
        EXPECT_EQ(tensor.bytes(), data_bytes(tensor.format, tensor.shape));
      ++opened;
    }
  }
  EXPECT_GT(opened, 6u);
}

}  // namespace
}  // namespace snug::gguf
