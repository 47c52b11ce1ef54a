#include "snug/state.hpp"

#include <atomic>
#include <thread>

#include "snug/error.hpp"
#include "state/store_fixture.hpp"

namespace snug::test {
namespace {

using Unsynced = ScratchDisk::Unsynced;
using Names = ScratchDisk::Names;

TEST_F(StoreOnScratchDisk, KeepsWhatWasPut) {
  put("blk.0.ffn_down/q4_K", 11);
  EXPECT_EQ(get("blk.0.ffn_down/q4_K"), 11);
  reopen(Access::read);
  EXPECT_EQ(get("blk.0.ffn_down/q4_K"), 11);
  EXPECT_FALSE(get("blk.0.ffn_down/q5_K"));
  EXPECT_FALSE(get("blk.0.ffn_down/q4_K", RecordKind::probe));
  EXPECT_FALSE(store->report().created);
}

TEST_F(StoreOnScratchDisk, PowerLossKeepsEverythingSynced) {
  put("blk.0.ffn_down/q4_K", 11);
  sync();
  put("blk.1.ffn_down/q4_K", 12);
  lose_unsynced_bytes();
  reopen();
  EXPECT_EQ(get("blk.0.ffn_down/q4_K"), 11);
  EXPECT_FALSE(get("blk.1.ffn_down/q4_K"));
}

TEST_F(StoreOnScratchDisk, PowerLossThatLeavesZerosIsATornTail) {
  put("a", 1);
  sync();
  put("b", 2);
  disk.cut_power_after(0);
  close();
  disk.restore_power(Unsynced::zeroed, Names::kept);
  reopen();
  EXPECT_EQ(get("a"), 1);
  EXPECT_GT(store->report().torn_tail_bytes, 0);
  EXPECT_TRUE(store->report().damage.empty());
}

TEST_F(StoreOnScratchDisk, AReaderIgnoresATornTailAndAWriterCutsItOff) {
  put("a", 1);
  const size_t whole = file().size();
  store->put(RecordKind::note, key_of("long"), Bytes(50, std::byte{'x'}));
  const size_t torn = file().size() - 1;
  file().resize(torn);
  reopen(Access::read);
  EXPECT_EQ(store->report().torn_tail_bytes, static_cast<int64_t>(torn - whole));
  EXPECT_EQ(file().size(), torn);
  reopen();
  EXPECT_EQ(file().size(), whole);
  put("b", 2);
  reopen();
  EXPECT_EQ(store->report().torn_tail_bytes, 0);
  EXPECT_EQ(get("b"), 2);
}

TEST_F(StoreOnScratchDisk, ANewStoreSurvivesAPowerLossAtOnce) {
  lose_unsynced_bytes();
  reopen(Access::read);
  EXPECT_EQ(store->report().records, 0);
}

TEST_F(StoreOnScratchDisk, CreationCutShortAtAnyByteIsDoneAgain) {
  const Bytes whole = file();
  for (size_t n = 0; n < whole.size(); ++n) {
    SCOPED_TRACE(n);
    close();
    disk.place(path, Bytes{whole.begin(), whole.begin() + static_cast<int64_t>(n)});
    reopen(Access::read);
    EXPECT_EQ(file().size(), n) << "a reader changes nothing";
    reopen(Access::write);
    EXPECT_TRUE(store->report().created);
    EXPECT_EQ(file(), whole);
  }
}

TEST_F(StoreOnScratchDisk, AFileThatIsNoStoreIsRefusedAndLeftAlone) {
  for (const std::string content :
       {"x", "notes", "GGUF and then something rather longer than a header", "\x89SNUGT"}) {
    disk.place("other", bytes(content));
    for (const Access access : {Access::read, Access::write}) {
      EXPECT_THROW(Store::open(disk, "other", access), Error) << content;
      EXPECT_EQ(text_of(disk.bytes("other")), content);
    }
  }
}

TEST_F(StoreOnScratchDisk, ALaterRecordReplacesAnEarlierOne) {
  put("a", 1);
  put("a", 2);
  EXPECT_EQ(get("a"), 2);
  reopen();
  EXPECT_EQ(get("a"), 2);
  EXPECT_EQ(store->report().superseded, 1);
  EXPECT_EQ(store->report().records, 1);
}

TEST_F(StoreOnScratchDisk, TheSamePayloadAgainIsNotWrittenAgain) {
  put("a", 1);
  const size_t before = file().size();
  put("a", 1);
  EXPECT_EQ(file().size(), before);
}

TEST_F(StoreOnScratchDisk, AFullDiskSaysWhatIsSavedAndLeavesAWholeStore) {
  put("a", 1);
  const Bytes before = file();
  for (int64_t room = 0; room < 33; ++room) {
    SCOPED_TRACE(room);
    disk.fail_writes_after(room);
    try {
      put("b", 2);
      FAIL() << "the disk is full";
    } catch (const Error& error) {
      EXPECT_EQ(error.fault(), Fault::io);
      EXPECT_NE(std::string{error.what()}.find("1 records are saved"), std::string::npos) << error.what();
    }
    EXPECT_EQ(file(), before);
    EXPECT_FALSE(get("b"));
  }
  disk.fail_writes_after(1000);
  put("b", 2);
  reopen();
  EXPECT_EQ(get("a"), 1);
  EXPECT_EQ(get("b"), 2);
}

TEST_F(StoreOnScratchDisk, AFullDiskAtCreationIsAnErrorAndCreationCanBeDoneAgain) {
  for (int64_t room = 0; room < 16; ++room) {
    disk.fail_writes_after(room);
    EXPECT_THROW(Store::open(disk, "new", Access::write), Error);
    disk.fail_writes_after(1000);
    EXPECT_TRUE(Store::open(disk, "new", Access::write).report().created);
    disk.remove("new");
  }
}

TEST_F(StoreOnScratchDisk, AfterAFailedSyncNothingMoreIsPromised) {
  put("a", 1);
  disk.fail_syncs(true);
  EXPECT_THROW(sync(), Error);
  disk.fail_syncs(false);
  EXPECT_THROW(put("b", 2), Error);
  EXPECT_THROW(sync(), Error) << "the system may have dropped the bytes: a second sync proves nothing";
}

TEST_F(StoreOnScratchDisk, OneWriterAtATime) {
  try {
    Store::open(disk, path, Access::write);
    FAIL() << "two writers";
  } catch (const Error& error) {
    EXPECT_EQ(error.fault(), Fault::io);
    EXPECT_NE(std::string{error.what()}.find("4711"), std::string::npos) << error.what();
  }
  close();
  Store::open(disk, path, Access::write);
}

TEST_F(StoreOnScratchDisk, AReaderSeesWhatWasWholeWhenItOpened) {
  put("a", 1);
  const Store reader = Store::open(disk, path, Access::read);
  put("b", 2);
  EXPECT_TRUE(reader.contains(RecordKind::measurement, key_of("a")));
  EXPECT_FALSE(reader.contains(RecordKind::measurement, key_of("b")));
}

TEST_F(StoreOnScratchDisk, AReaderCannotPut) {
  reopen(Access::read);
  EXPECT_THROW(put("a", 1), Error);
}

TEST_F(StoreOnScratchDisk, RefusesAPayloadThatIsTooLongAndAKindThatIsNone) {
  EXPECT_THROW(store->put(RecordKind::note, key_of("a"), Bytes(kMaxPayloadBytes + 1)), Error);
  EXPECT_THROW(put("a", 1, static_cast<RecordKind>(0)), Error);
  EXPECT_THROW(put("a", 1, static_cast<RecordKind>(99)), Error);
  store->put(RecordKind::note, key_of("a"), Bytes(kMaxPayloadBytes));
  EXPECT_EQ(store->get(RecordKind::note, key_of("a"))->size(), kMaxPayloadBytes);
}

TEST_F(StoreOnScratchDisk, ARecordSpoiledAfterOpeningIsAnErrorNotAWrongValue) {
  put("a", 1);
  file().back() ^= std::byte{1};
  EXPECT_THROW(get("a"), Error);
}

TEST_F(StoreOnScratchDisk, RecordsComeSortedAndTheDigestDoesNotKnowTheOrderOfWriting) {
  const std::vector<std::string> names{"c", "a", "d", "b"};
  for (const auto& name : names) put(name, static_cast<int>(name[0]));
  put("a", 7, RecordKind::probe);
  std::vector<std::pair<RecordKind, Digest>> seen;
  store->for_each([&](const Record& record) { seen.emplace_back(record.kind, record.key); });
  EXPECT_EQ(seen.size(), 5u);
  EXPECT_TRUE(std::ranges::is_sorted(seen));

  Store other = Store::open(disk, "other", Access::write);
  other.put(RecordKind::probe, key_of("a"), bytes("7"));
  other.put(RecordKind::measurement, key_of("a"), bytes("this one is replaced"));
  for (const char* name : {"d", "c", "b", "a"})
    other.put(RecordKind::measurement, key_of(name), bytes(std::to_string(static_cast<int>(name[0]))));
  EXPECT_EQ(other.contents_digest(), store->contents_digest());
  other.put(RecordKind::measurement, key_of("a"), bytes("98"));
  EXPECT_NE(other.contents_digest(), store->contents_digest());
}

TEST_F(StoreOnScratchDisk, LongPayloadsAreStoredCompressed) {
  store->put(RecordKind::note, key_of("long"), Bytes(100'000, std::byte{'x'}));
  EXPECT_LT(file().size(), 1000u);
  reopen(Access::read);
  EXPECT_EQ(store->get(RecordKind::note, key_of("long")), Bytes(100'000, std::byte{'x'}));
}

TEST_F(StoreOnScratchDisk, ThreadsMayShareAStore) {
  constexpr int kThreads = 4, kEach = 200;
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int t = 0; t < kThreads; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i) {
        const std::string name = std::to_string(t) + "/" + std::to_string(i);
        put(name, i);
        if (get(name) != i) ++wrong;
        if (i % 50 == 0) sync();
      }
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  reopen();
  EXPECT_EQ(store->count(RecordKind::measurement), kThreads * kEach);
  EXPECT_EQ(store->count(RecordKind::probe), 0);
}

/// Random puts, syncs, reopenings and power cuts at random operations, against a plain map.
TEST(StoreProperty, WhatWasSyncedSurvivesAnyPowerCutAndNothingIsMadeUp) {
  for (uint64_t seed = 0; seed < 400; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random{seed};
    ScratchDisk disk;
    std::map<int, Bytes> synced, written;
    std::map<int, std::vector<Bytes>> ever;
    for (int life = 0; life < 4; ++life) {
      disk.cut_power_after(static_cast<int64_t>(random() % 40));
      try {
        Store store = Store::open(disk, "s", Access::write);
        while (true) {
          const int name = static_cast<int>(random() % 12);
          const Bytes payload = random_payload(random);
          ever[name].push_back(payload);
          store.put(RecordKind::measurement, key_of(std::to_string(name)), payload);
          written[name] = payload;
          if (random() % 3) continue;
          store.sync();
          synced = written;
        }
      } catch (const Error& error) {
        ASSERT_TRUE(disk.power_is_cut()) << error.what();
      }
      disk.restore_power(static_cast<Unsynced>(random() % 3), static_cast<Names>(random() % 2));
      if (synced.empty() && !disk.exists("s")) continue;
      const Store store = Store::open(disk, "s", Access::read);
      written.clear();
      for (auto& [name, payloads] : ever) {
        const auto found = store.get(RecordKind::measurement, key_of(std::to_string(name)));
        if (!found) {
          EXPECT_FALSE(synced.contains(name));
          continue;
        }
        EXPECT_TRUE(std::ranges::count(payloads, *found)) << "made up";
        written[name] = *found;
      }
    }
  }
}

}  // namespace
}  // namespace snug::test
