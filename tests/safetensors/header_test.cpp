#include "safetensors/header.hpp"

#include <gtest/gtest.h>

#include <cstring>

#include "snug/error.hpp"

namespace snug::safetensors {
namespace {

std::string file_of(const std::string& json, const std::string& data) {
  const uint64_t length = json.size();
  return std::string(reinterpret_cast<const char*>(&length), sizeof length) + json + data;
}

Header read(const std::string& file) { return read_header(std::as_bytes(std::span{file}), "x.safetensors"); }

std::string refusal(const std::string& file) {
  try {
    read(file);
  } catch (const Error& error) {
    EXPECT_NE(error.where().find("x.safetensors"), std::string::npos) << error.what();
    return error.problem();
  }
  return "";
}

std::string refusal(const std::string& json, size_t data_bytes) {
  return refusal(file_of(json, std::string(data_bytes, '\1')));
}

void expect_refusal(const std::string& json, size_t data_bytes, const std::string& part) {
  const std::string problem = refusal(json, data_bytes);
  EXPECT_NE(problem.find(part), std::string::npos) << json << ": '" << problem << "', wanted '" << part << "'";
}

TEST(Header, ReadsTensorsInTheOrderOfTheirBytes) {
  const Header header = read(file_of(
      R"(  {"b":{"dtype":"F32","shape":[2,1],"data_offsets":[6,14],"more":[1]},"__metadata__":{"format":"pt"},
          "a":{"dtype":"BF16","shape":[3],"data_offsets":[0,6]},
          "s":{"dtype":"U8","shape":[],"data_offsets":[14,15]},
          "none":{"dtype":"I64","shape":[4,0],"data_offsets":[15,15]}}   )",
      std::string(15, '\1')));
  ASSERT_EQ(header.tensors.size(), 4u);
  EXPECT_EQ(header.tensors[0].name, "a");
  EXPECT_EQ(header.tensors[0].dtype, Dtype::bf16);
  EXPECT_EQ(header.tensors[1].shape, (std::vector<int64_t>{2, 1}));
  EXPECT_TRUE(header.tensors[2].shape.empty());
  EXPECT_EQ(header.metadata.at("format"), "pt");
}

TEST(Header, RefusesWhatTheLengthCannotBe) {
  EXPECT_NE(refusal("1234567").find("7 bytes"), std::string::npos);
  EXPECT_NE(refusal(std::string(8, '\xff')).find("18446744073709551615"), std::string::npos);
  std::string large(8, '\0');
  const uint64_t length = kMaxHeaderBytes + 1;
  std::memcpy(large.data(), &length, sizeof length);
  EXPECT_NE(refusal(large).find("100000001"), std::string::npos);
  std::string cut = file_of("{}", "");
  cut[0] = 3;
  EXPECT_NE(refusal(cut).find("ends before"), std::string::npos);
}

TEST(Header, RefusesWhatIsNoDescriptionOfTensors) {
  expect_refusal("[]", 0, "no object");
  expect_refusal("{", 0, "JSON");
  expect_refusal("{} x", 0, "JSON");
  expect_refusal("{\"\xff\":1}", 0, "JSON");
  expect_refusal(R"({"a":3})", 0, "object");
  expect_refusal(R"({"a":{"shape":[1],"data_offsets":[0,1]}})", 1, "dtype");
  expect_refusal(R"({"a":{"dtype":"F7","shape":[1],"data_offsets":[0,1]}})", 1, "unknown");
  expect_refusal(R"({"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}})", 1, "whole number");
  expect_refusal(R"({"a":{"dtype":"U8","shape":[1.0],"data_offsets":[0,1]}})", 1, "whole number");
  expect_refusal(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1,2]}})", 1, "two offsets");
  expect_refusal(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,99999999999999999999]}})", 1, "whole number");
  expect_refusal(R"({"__metadata__":{"format":1}})", 0, "string");
}

TEST(Header, RefusesANameThatIsThereTwice) {
  const std::string a = R"("a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]})";
  expect_refusal("{" + a + "," + a + "}", 1, "twice");
  expect_refusal(R"({"a":{"dtype":"U8","dtype":"I8","shape":[1],"data_offsets":[0,1]}})", 1, "twice");
  expect_refusal(R"({"__metadata__":{},"__metadata__":{}})", 0, "twice");
}

std::string two(const std::string& first, const std::string& second) {
  return R"({"a":{"dtype":"U8","shape":[2],"data_offsets":)" + first +
         R"(},"b":{"dtype":"U8","shape":[2],"data_offsets":)" + second + "}}";
}

TEST(Header, RefusesTensorsThatDoNotTileTheData) {
  EXPECT_EQ(refusal(two("[0,2]", "[2,4]"), 4), "");
  EXPECT_EQ(refusal(two("[2,4]", "[0,2]"), 4), "");
  expect_refusal(two("[0,2]", "[3,5]"), 5, "should begin at byte 2");
  expect_refusal(two("[0,2]", "[1,3]"), 3, "should begin at byte 2");
  expect_refusal(two("[0,2]", "[0,2]"), 2, "should begin at byte 2");
  expect_refusal(two("[1,3]", "[3,5]"), 5, "should begin at byte 0");
  expect_refusal(two("[0,2]", "[2,1]"), 4, "should begin at byte");
  expect_refusal(two("[0,2]", "[2,4]"), 5, "the file has 5");
  expect_refusal(two("[0,2]", "[2,4]"), 3, "the file has 3");
}

TEST(Header, RefusesSizesThatDoNotFitTheShape) {
  expect_refusal(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", 4, "needs 8");
  expect_refusal(R"({"a":{"dtype":"F4","shape":[3],"data_offsets":[0,2]}})", 2, "whole bytes");
  EXPECT_EQ(refusal(R"({"a":{"dtype":"F4","shape":[4],"data_offsets":[0,2]}})", 2), "");
  EXPECT_EQ(refusal(R"({"a":{"dtype":"F6_E2M3","shape":[4],"data_offsets":[0,3]}})", 3), "");
  expect_refusal(R"({"a":{"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,1]}})", 1, "too large");
  expect_refusal(R"({"a":{"dtype":"F32","shape":[9223372036854775807],"data_offsets":[0,1]}})", 1, "too large");
}

TEST(Header, WritesWhatItReads) {
  const std::vector<Entry> entries{{"x", Dtype::f16, {2, 3}, 0, 12}, {"y\n\"", Dtype::u8, {}, 12, 13}};
  const std::string text = header_text(entries, {{"format", "mlx"}});
  EXPECT_EQ(text.size() % 8, 0u);
  const Header header = read(text + std::string(13, '\0'));
  EXPECT_EQ(header.data_begin, text.size());
  ASSERT_EQ(header.tensors.size(), 2u);
  EXPECT_EQ(header.tensors[0].shape, entries[0].shape);
  EXPECT_EQ(header.tensors[1].name, entries[1].name);
  EXPECT_EQ(header.metadata.at("format"), "mlx");
}

}  // namespace
}  // namespace snug::safetensors
