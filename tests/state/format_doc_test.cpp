#include <fstream>
#include <sstream>

#include "state/store_fixture.hpp"

namespace snug::test {
namespace {

/// The bytes of the worked example in docs/state-format.md.
Bytes example() {
  std::ifstream doc{std::filesystem::path{SNUG_SOURCE_DIR} / "docs/state-format.md"};
  Bytes bytes;
  std::string line;
  while (std::getline(doc, line) && line != "```hex") {
  }
  while (std::getline(doc, line) && line != "```") {
    std::istringstream words{line};
    std::string word;
    words >> word;  // the offset
    EXPECT_EQ(std::stoul(word, nullptr, 16), bytes.size());
    while (words >> word) bytes.push_back(static_cast<std::byte>(std::stoi(word, nullptr, 16)));
  }
  return bytes;
}

Digest counting_from(uint8_t first) {
  Digest digest;
  for (uint8_t& byte : digest.bytes) byte = first++;
  return digest;
}

/// The page's checksum and reader, written from the page alone: nothing of state/ is used.
struct SecondReader {
  Bytes file;

  uint64_t number(size_t offset, size_t bytes) const {
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; ++i) value |= uint64_t{static_cast<uint8_t>(file[offset + i])} << 8 * i;
    return value;
  }
  static uint32_t crc32c(const Bytes& bytes) {
    uint32_t crc = 0xFFFFFFFF;
    for (const std::byte b : bytes) {
      crc ^= static_cast<uint32_t>(b);
      for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc % 2 ? 0x82F63B78u : 0);
    }
    return ~crc;
  }
  Bytes part(size_t begin, size_t end) const {
    return {file.begin() + static_cast<int64_t>(begin), file.begin() + static_cast<int64_t>(end)};
  }
  bool header_holds(size_t at) const {
    Bytes covered;
    for (int i = 0; i < 8; ++i) covered.push_back(static_cast<std::byte>(at >> 8 * i));
    for (const auto& piece : {part(at + 4, at + 12), part(at + 16, at + 32)})
      covered.insert(covered.end(), piece.begin(), piece.end());
    return number(at + 12, 4) == crc32c(covered);
  }
  std::vector<std::string> payloads() const {
    std::vector<std::string> found;
    EXPECT_EQ(number(8, 4), 1u);
    EXPECT_EQ(number(12, 4), crc32c(part(0, 12)));
    for (size_t at = 16; at + 32 <= file.size();) {
      EXPECT_TRUE(header_holds(at));
      const size_t end = at + 32 + number(at + 8, 4);
      EXPECT_EQ(number(at, 4), crc32c(part(at + 4, end)));
      found.push_back(text_of(part(at + 32, end)));
      at = end;
    }
    return found;
  }
};

TEST_F(StoreOnScratchDisk, WritesTheDocumentedExample) {
  store->put(RecordKind::measurement, counting_from(0x00), bytes("eleven"));
  store->put(RecordKind::note, counting_from(0x10), bytes("made on a Tuesday"));
  EXPECT_EQ(file(), example());
}

TEST_F(StoreOnScratchDisk, ReadsTheDocumentedExampleAsItSays) {
  disk.place("example", example());
  Store read = Store::open(disk, "example", Access::read);
  EXPECT_EQ(text_of(*read.get(RecordKind::measurement, counting_from(0x00))), "eleven");
  EXPECT_EQ(text_of(*read.get(RecordKind::note, counting_from(0x10))), "made on a Tuesday");

  Bytes cut = example();
  cut.resize(0x66);
  disk.place("cut", cut);
  const OpenReport torn = Store::open(disk, "cut", Access::read).report();
  EXPECT_EQ(torn.records, 1);
  EXPECT_EQ(torn.torn_tail_bytes, 0x66 - 0x36);

  Bytes spoiled = example();
  spoiled[0x22] ^= std::byte{1};
  disk.place("spoiled", spoiled);
  const OpenReport damaged = Store::open(disk, "spoiled", Access::read).report();
  EXPECT_EQ(damaged.records, 1);
  ASSERT_EQ(damaged.damage.size(), 1u);
  EXPECT_EQ(damaged.damage[0].offset, 0x10);
  EXPECT_EQ(damaged.damage[0].bytes, 38);
}

TEST(StateFormatDoc, IsEnoughToWriteASecondReader) {
  EXPECT_EQ(SecondReader{example()}.payloads(), (std::vector<std::string>{"eleven", "made on a Tuesday"}));
}

TEST(StateFormatDoc, TheContentsDigestIsWhatItSays) {
  ScratchDisk disk;
  disk.place("example", example());
  Bytes all;
  const auto add_number = [&](uint64_t n) {
    for (int i = 0; i < 8; ++i) all.push_back(static_cast<std::byte>(n >> 8 * i));
  };
  const auto add = [&](uint64_t kind, const Digest& key, const std::string& payload) {
    add_number(kind);
    add_number(16);
    for (const uint8_t b : key.bytes) all.push_back(std::byte{b});
    add_number(payload.size());
    for (const std::byte b : bytes(payload)) all.push_back(b);
  };
  add(1, counting_from(0x00), "eleven");
  add(4, counting_from(0x10), "made on a Tuesday");
  EXPECT_EQ(Store::open(disk, "example", Access::read).contents_digest(), digest_of(all));
}

}  // namespace
}  // namespace snug::test
