#include "gguf/metadata.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "gguf/reader.hpp"
#include "support/gguf_bytes.hpp"

namespace snug::gguf {
namespace {

using test::GgufBytes;

std::vector<std::string> names(const std::vector<OutputKey>& keys) {
  std::vector<std::string> all;
  for (const OutputKey& key : keys) all.push_back(key.key);
  return all;
}

class QuantizedKeys : public ::testing::Test {
 protected:
  std::vector<OutputKey> keys(const ImatrixNote* note, std::vector<OutputKey> extra = {}) {
    GgufBytes file;
    file.key("general.architecture", "llama").key_u32("general.file_type", 1);
    file.key("split.no", 2, GgufBytes::le<uint16_t>(0)).key("split.count", 2, GgufBytes::le<uint16_t>(1));
    file.key("snug.version", "0.0.1").key("quantize.imatrix.file", "old.dat").key_u32("llama.block_count", 2);
    bytes_ = file.bytes();
    source_ = std::make_unique<ModelSource>(gguf::read_model(test::as_bytes(bytes_), "in.gguf"));
    return quantized_keys(*source_, 15, note, std::move(extra));
  }

  std::string bytes_;
  std::unique_ptr<ModelSource> source_;
};

TEST_F(QuantizedKeys, AreTheSourcesInOrderLessThoseOfTheFile) {
  const auto all = keys(nullptr);
  EXPECT_EQ(names(all), (std::vector<std::string>{"general.architecture", "general.file_type",
                                                  "llama.block_count", "general.quantization_version"}));
  EXPECT_EQ(std::get<uint32_t>(std::get<MetadataValue>(all[1].value)), 15u);  // in place
  EXPECT_EQ(std::get<uint32_t>(std::get<MetadataValue>(all[3].value)), 2u);
}

TEST_F(QuantizedKeys, NameTheImatrixAsLlamaQuantizeDoes) {
  const ImatrixNote note{std::string(200, 'f'), std::string(128, 'd'), 154, 31};
  const auto all = keys(&note, {{"snug.version", std::string{"1"}}});
  ASSERT_EQ(all.size(), 9u);
  EXPECT_EQ(all[4].key, "quantize.imatrix.file");
  EXPECT_EQ(std::get<std::string>(all[4].value), std::string(127, 'f'));
  EXPECT_EQ(all[5].key, "quantize.imatrix.dataset");
  EXPECT_EQ(std::get<std::string>(all[5].value), std::string(127, 'd'));
  EXPECT_EQ(all[6].key, "quantize.imatrix.entries_count");
  EXPECT_EQ(std::get<uint32_t>(std::get<MetadataValue>(all[6].value)), 154u);
  EXPECT_EQ(all[7].key, "quantize.imatrix.chunks_count");
  EXPECT_EQ(std::get<uint32_t>(std::get<MetadataValue>(all[7].value)), 31u);
  EXPECT_EQ(all[8].key, "snug.version");
  EXPECT_EQ(std::get<std::string>(all[8].value), "1");
}

TEST_F(QuantizedKeys, LeaveOutAChunkCountOfZero) {
  const ImatrixNote note{"im.gguf", "text", 1, 0};
  const auto all = names(keys(&note));
  EXPECT_EQ(std::ranges::count(all, "quantize.imatrix.chunks_count"), 0);
}

TEST_F(QuantizedKeys, MakeAFileThatReadsBack) {
  const Layout layout = plan_layout("out.gguf", keys(nullptr), {});
  const ModelSource back = gguf::read_model(layout.shards[0].header, "out.gguf");
  EXPECT_EQ(back.metadata().integer("general.file_type"), 15);
  EXPECT_EQ(back.metadata().text("general.architecture"), "llama");
}

}  // namespace
}  // namespace snug::gguf
