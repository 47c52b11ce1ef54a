#include "state/record_log.hpp"

#include "snug/error.hpp"
#include "state/store_fixture.hpp"

namespace snug::state {
namespace {

using test::Bytes;
using test::key_of;

/// A log built record by record, with the offset of each.
struct Log {
  Bytes bytes;
  std::vector<int64_t> offsets;
  std::vector<Digest> keys;

  Log() {
    const FileHeader header = file_header();
    const auto view = bytes_of(header);
    bytes.assign(view.begin(), view.end());
  }
  int64_t size() const { return std::ssize(bytes); }
  void add(const Bytes& record, const Digest& key) {
    offsets.push_back(size());
    keys.push_back(key);
    bytes.insert(bytes.end(), record.begin(), record.end());
  }
  void put(std::string_view name, const Bytes& payload) {
    add(make_record(RecordKind::measurement, key_of(name), payload, size()), key_of(name));
  }
  int64_t end_of(size_t record) const { return record + 1 < offsets.size() ? offsets[record + 1] : size(); }
  size_t record_at(int64_t offset) const {
    return static_cast<size_t>(std::ranges::upper_bound(offsets, offset) - offsets.begin()) - 1;
  }
};

Log random_log(uint64_t seed, int records) {
  std::mt19937_64 random{seed};
  Log log;
  for (int i = 0; i < records; ++i) log.put(std::to_string(i), test::random_payload(random));
  return log;
}

Scan scan_bytes(const Bytes& bytes) {
  test::ScratchDisk disk;
  disk.place("log", bytes);
  return scan(*disk.open("log", Disk::Open::read), "log");
}

std::vector<Digest> keys_of(const Scan& found) {
  std::vector<Digest> keys;
  for (const Place& place : found.places) keys.push_back(place.header.key);
  return keys;
}

std::vector<Digest> without(std::vector<Digest> keys, size_t record) {
  keys.erase(keys.begin() + static_cast<int64_t>(record));
  return keys;
}

/// A file without end of zeros, which counts how far it is read.
class Zeros final : public File {
 public:
  int64_t size() const override { return int64_t{1} << 50; }
  size_t read_at(int64_t offset, std::span<std::byte> bytes) const override {
    farthest_ = std::max(farthest_, offset);
    std::ranges::fill(bytes, std::byte{});
    return bytes.size();
  }
  void write_at(int64_t, std::span<const std::byte>) override { FAIL(); }
  void truncate(int64_t) override { FAIL(); }
  void sync() override { FAIL(); }
  Lock try_lock() override { return Lock::taken; }
  int64_t lock_holder() const override { return 0; }
  int64_t farthest() const { return farthest_; }

 private:
  mutable int64_t farthest_ = 0;
};

TEST(RecordLog, AFileOfAnotherKindIsNotReadToItsEnd) {
  const Zeros zeros;
  EXPECT_THROW(scan(zeros, "zeros"), Error);
  EXPECT_LE(zeros.farthest(), 2 * int64_t{kMaxPayloadBytes});
}

/// The records behind a spoiled header and a spoiled first record, as long as one can be, are found.
TEST(RecordLog, ASpoiledHeadLeavesTheRecordsBehindIt) {
  Bytes spoiled(kFileHeaderBytes + kRecordHeaderBytes + kMaxPayloadBytes, std::byte{0xa5});
  const auto payload = test::bytes("behind");
  const Bytes record = make_record(RecordKind::measurement, key_of("behind"), payload, std::ssize(spoiled));
  spoiled.insert(spoiled.end(), record.begin(), record.end());
  EXPECT_EQ(keys_of(scan_bytes(spoiled)), std::vector{key_of("behind")});
}

TEST(RecordLogProperty, EveryPrefixHoldsExactlyItsWholeRecords) {
  for (uint64_t seed = 0; seed < 5; ++seed) {
    SCOPED_TRACE(seed);
    const Log log = random_log(seed, 12);
    for (int64_t n = 0; n <= log.size(); ++n) {
      SCOPED_TRACE(n);
      const Scan found = scan_bytes({log.bytes.begin(), log.bytes.begin() + n});
      size_t whole = 0;
      while (whole < log.offsets.size() && log.end_of(whole) <= n) ++whole;
      ASSERT_EQ(keys_of(found),
                (std::vector<Digest>{log.keys.begin(), log.keys.begin() + static_cast<int64_t>(whole)}));
      ASSERT_TRUE(found.damage.empty());
      const int64_t end = n < kFileHeaderBytes ? 0 : whole ? log.end_of(whole - 1) : kFileHeaderBytes;
      ASSERT_EQ(found.end, end);
      ASSERT_EQ(found.blank, n < kFileHeaderBytes);
    }
  }
}

TEST(RecordLogProperty, AnySpoiledByteCostsAtMostItsRecordAndIsReported) {
  for (uint64_t seed = 0; seed < 3; ++seed) {
    SCOPED_TRACE(seed);
    const Log log = random_log(seed, 10);
    std::mt19937_64 random{seed};
    for (int64_t at = 0; at < log.size(); ++at) {
      SCOPED_TRACE(at);
      Bytes spoiled = log.bytes;
      spoiled[static_cast<size_t>(at)] ^= static_cast<std::byte>(random() % 255 + 1);
      const Scan found = scan_bytes(spoiled);
      ASSERT_EQ(found.damage.size(), 1u);
      ASSERT_EQ(found.end, log.size()) << "a whole log of which a byte is spoiled has no torn tail";
      if (at < kFileHeaderBytes) {
        ASSERT_EQ(found.damage[0].offset, 0);
        ASSERT_EQ(keys_of(found), log.keys);
        continue;
      }
      const size_t hit = log.record_at(at);
      ASSERT_EQ(found.damage[0].offset, log.offsets[hit]);
      ASSERT_EQ(found.damage[0].bytes, log.end_of(hit) - log.offsets[hit]);
      ASSERT_EQ(keys_of(found), without(log.keys, hit));
    }
  }
}

TEST(RecordLogProperty, AnyBlockOfZerosCostsOnlyTheRecordsItTouches) {
  const Log log = random_log(7, 30);
  std::mt19937_64 random{7};
  for (int round = 0; round < 300; ++round) {
    SCOPED_TRACE(round);
    const auto begin =
        kFileHeaderBytes + static_cast<int64_t>(random() % static_cast<uint64_t>(log.size() - 100));
    const int64_t end = std::min(begin + 64, log.offsets.back());
    Bytes spoiled = log.bytes;
    for (int64_t i = begin; i < end; ++i) spoiled[static_cast<size_t>(i)] = {};
    const auto kept = keys_of(scan_bytes(spoiled));
    for (size_t r = 0; r < log.keys.size(); ++r) {
      const bool touched = log.offsets[r] < end && log.end_of(r) > begin;
      ASSERT_TRUE(touched || std::ranges::count(kept, log.keys[r])) << r;
    }
  }
}

TEST(RecordLogProperty, ArbitraryBytesBehindAHeaderNeverCrash) {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random{seed};
    Log log = random_log(seed, 3);
    for (uint64_t i = random() % 400; i > 0; --i) log.bytes.push_back(static_cast<std::byte>(random() % 4));
    const Scan found = scan_bytes(log.bytes);
    EXPECT_EQ(keys_of(found), log.keys);
    EXPECT_LE(found.end, log.size());
  }
}

TEST(RecordLog, ARecordInsideAPayloadIsNotMistakenForARecord) {
  Log inner;
  inner.put("inner", test::bytes("a record of its own"));
  Bytes payload;  // noise in front, so that it is stored as it is and the inner record lies somewhere else
  std::mt19937_64 random{3};
  for (int i = 0; i < 200; ++i) payload.push_back(static_cast<std::byte>(random()));
  payload.insert(payload.end(), inner.bytes.begin(), inner.bytes.end());
  Log log;
  log.put("outer", payload);
  log.put("next", test::bytes("1"));
  log.bytes[static_cast<size_t>(log.offsets[0]) + 9] ^= std::byte{0x40};  // its length
  const Scan found = scan_bytes(log.bytes);
  EXPECT_EQ(keys_of(found), std::vector{key_of("next")});
  EXPECT_EQ(found.damage.size(), 1u);
}

TEST(RecordLog, ALengthPastTheEndTakesNoMemory) {
  Log log;
  RecordHeader header;
  header.kind = RecordKind::measurement;
  header.stored_bytes = UINT32_MAX;
  header.header_crc32c = header_crc(header, log.size());
  const auto view = bytes_of(header);
  log.bytes.insert(log.bytes.end(), view.begin(), view.end());
  const Scan found = scan_bytes(log.bytes);
  EXPECT_EQ(found.end, kFileHeaderBytes);
  EXPECT_TRUE(found.places.empty());
}

TEST(RecordLog, AnUnfinishedRecordBehindDamageDoesNotSwallowWhatIsAppended) {
  Log log;
  log.put("damaged", test::bytes("1"));
  log.put("unfinished", Bytes(60, std::byte{'x'}));
  log.bytes[static_cast<size_t>(log.offsets[0]) + 20] ^= std::byte{1};
  log.bytes.resize(log.bytes.size() - 10);
  test::ScratchDisk disk;
  disk.place("log", log.bytes);
  for (const char* name : {"a", "b"}) {
    Store store = Store::open(disk, "log", Access::write);
    store.put(RecordKind::note, key_of(name), test::bytes("appended"));
  }
  EXPECT_EQ(keys_of(scan_bytes(disk.bytes("log"))), (std::vector{key_of("a"), key_of("b")}));
}

TEST(RecordLog, APayloadThatDoesNotDecodeIsDamage) {
  Log log;
  log.put("a", test::bytes("1"));
  RecordHeader header;
  header.kind = RecordKind::measurement;
  header.encoding = Encoding::zstd;
  log.add(make_record(header, test::bytes("not a frame"), log.size()), {});
  log.put("b", test::bytes("2"));
  const Scan found = scan_bytes(log.bytes);
  EXPECT_EQ(keys_of(found), (std::vector{key_of("a"), key_of("b")}));
  ASSERT_EQ(found.damage.size(), 1u);
  EXPECT_EQ(found.damage[0].offset, log.offsets[1]);
}

TEST(RecordLog, ALaterVersionIsRefusedNotGuessed) {
  FileHeader header;
  header.version = kFormatVersion + 1;
  header.crc32c = crc32c(bytes_of(header).first(12));
  const auto view = bytes_of(header);
  try {
    scan_bytes({view.begin(), view.end()});
    FAIL() << "read it";
  } catch (const Error& error) {
    EXPECT_NE(std::string{error.what()}.find("version 2"), std::string::npos) << error.what();
  }
}

TEST(RecordLog, APayloadLongerThanTheWindowIsRead) {
  Log log;
  std::mt19937_64 random{1};
  Bytes noise(3'000'001);
  for (std::byte& b : noise) b = static_cast<std::byte>(random());
  log.put("long", noise);
  log.put("next", test::bytes("1"));
  EXPECT_EQ(keys_of(scan_bytes(log.bytes)), log.keys);
  log.bytes[2'000'000] ^= std::byte{1};
  EXPECT_EQ(keys_of(scan_bytes(log.bytes)), std::vector{key_of("next")});
}

}  // namespace
}  // namespace snug::state
