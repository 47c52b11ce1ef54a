#include "snug/error.hpp"
#include "state/record_log.hpp"
#include "state/store_fixture.hpp"

namespace snug::test {
namespace {

using Unsynced = ScratchDisk::Unsynced;
using Names = ScratchDisk::Names;
using Paths = std::vector<std::filesystem::path>;

class Rewrite : public testing::Test {
 protected:
  Store open(const char* name) { return Store::open(disk, name, Access::write); }
  Digest digest(const char* name) { return Store::open(disk, name, Access::read).contents_digest(); }
  MergeReport join(const char* out, const Paths& inputs, Overwrite overwrite = Overwrite::refuse) {
    return merge(disk, out, inputs, overwrite);
  }

  /// Adds a record of a kind that this version does not know, as a later one would.
  void append_unknown(const char* name, const Digest& key, const Bytes& payload) {
    Bytes& file = disk.bytes(name);
    state::RecordHeader header;
    header.kind = static_cast<RecordKind>(77);
    header.key = key;
    const Bytes record = state::make_record(header, payload, std::ssize(file));
    file.insert(file.end(), record.begin(), record.end());
  }

  ScratchDisk disk;
};

TEST_F(Rewrite, TwoShardsMergedEqualOneRun) {
  std::mt19937_64 random{1};
  {
    Store one = open("one"), first = open("first"), second = open("second");
    for (int i = 0; i < 60; ++i) {
      const Bytes payload = random_payload(random);
      const Digest key = key_of(std::to_string(i));
      one.put(RecordKind::measurement, key, payload);
      (i % 2 ? first : second).put(RecordKind::measurement, key, payload);
      if (i % 7 == 0) (i % 2 ? second : first).put(RecordKind::measurement, key, payload);  // both have it
    }
  }
  const MergeReport report = join("merged", {"first", "second"});
  EXPECT_EQ(report.records, 60);
  EXPECT_EQ(report.duplicates, 9);
  EXPECT_TRUE(report.conflicts.empty());
  EXPECT_EQ(report.contents, digest("one"));
  EXPECT_EQ(digest("merged"), digest("one"));
  EXPECT_EQ(report.bytes, std::ssize(disk.bytes("merged")));

  join("merged the other way", {"second", "first"});
  compact(disk, "one");
  EXPECT_EQ(disk.bytes("merged the other way"), disk.bytes("merged"));
  EXPECT_EQ(disk.bytes("one"), disk.bytes("merged")) << "equal contents give equal bytes";
}

TEST_F(Rewrite, AConflictIsReportedAndTheChoiceDoesNotDependOnTheOrder) {
  open("a").put(RecordKind::measurement, key_of("x"), bytes("2"));
  open("b").put(RecordKind::measurement, key_of("x"), bytes("10"));
  for (const Paths& inputs : {Paths{"a", "b"}, Paths{"b", "a"}}) {
    const MergeReport report = join("out", inputs, Overwrite::replace);
    ASSERT_EQ(report.conflicts.size(), 1u);
    EXPECT_EQ(report.conflicts[0].key, key_of("x"));
    EXPECT_EQ(report.conflicts[0].kept_from, "b");
    EXPECT_EQ(report.conflicts[0].dropped_from, "a");
    EXPECT_EQ(text_of(*Store::open(disk, "out", Access::read).get(RecordKind::measurement, key_of("x"))),
              "10");
  }
}

TEST_F(Rewrite, AnOutputIsOnlyReplacedWhenToldAndOnlyIfItIsAStoreNobodyWritesTo) {
  open("a").put(RecordKind::measurement, key_of("x"), bytes("1"));
  open("out").put(RecordKind::measurement, key_of("y"), bytes("2"));
  EXPECT_THROW(join("out", {"a"}), Error);
  disk.place("model.gguf", bytes("GGUF and tensors"));
  EXPECT_THROW(join("model.gguf", {"a"}, Overwrite::replace), Error);
  EXPECT_EQ(text_of(disk.bytes("model.gguf")), "GGUF and tensors");
  {
    const Store busy = open("out");
    EXPECT_THROW(join("out", {"a"}, Overwrite::replace), Error);
  }
  EXPECT_EQ(join("out", {"a", "out"}, Overwrite::replace).records, 2) << "an input may be the output";
}

TEST_F(Rewrite, AnInputThatIsNotThereLeavesNothingBehind) {
  open("a").put(RecordKind::measurement, key_of("x"), bytes("1"));
  EXPECT_THROW(join("out", {"a", "nowhere"}), Error);
  EXPECT_EQ(disk.files(), 1u);
}

TEST_F(Rewrite, CompactDropsWhatIsSupersededAndDamagedAndKeepsTheRest) {
  {
    Store store = open("s");
    for (int i = 0; i < 20; ++i) store.put(RecordKind::measurement, key_of("same"), bytes(std::to_string(i)));
    store.put(RecordKind::probe, key_of("p"), bytes("a probe"));
    store.put(RecordKind::note, key_of("n"), bytes("a note"));
  }
  disk.bytes("s")[60] ^= std::byte{1};
  const Digest before = digest("s");
  const CompactReport report = compact(disk, "s");
  EXPECT_EQ(report.before.superseded, 18);
  EXPECT_EQ(report.before.damage.size(), 1u);
  EXPECT_EQ(report.bytes_after, std::ssize(disk.bytes("s")));
  EXPECT_LT(report.bytes_after, report.before.bytes);
  EXPECT_EQ(digest("s"), before);
  const Bytes once = disk.bytes("s");
  compact(disk, "s");
  EXPECT_EQ(disk.bytes("s"), once);
  EXPECT_EQ(disk.files(), 1u);
}

TEST_F(Rewrite, CompactRefusesWhileAnotherWrites) {
  const Store busy = open("s");
  EXPECT_THROW(compact(disk, "s"), Error);
}

TEST_F(Rewrite, UnknownKindsAreCountedSkippedAndKept) {
  open("a").put(RecordKind::measurement, key_of("x"), bytes("1"));
  const Digest before = digest("a");
  append_unknown("a", key_of("later"), bytes("from a later snug"));
  open("b").put(RecordKind::measurement, key_of("y"), bytes("2"));
  append_unknown("b", key_of("later"), bytes("from a later snug"));
  append_unknown("b", key_of("later"), bytes("and another"));
  EXPECT_EQ(Store::open(disk, "a", Access::read).report().unknown, 1);
  EXPECT_EQ(digest("a"), before);
  compact(disk, "a");
  EXPECT_EQ(Store::open(disk, "a", Access::read).report().unknown, 1);
  EXPECT_EQ(join("out", {"a", "b"}).unknown, 2);
  const Bytes merged = disk.bytes("out");
  join("out", {"b", "a"}, Overwrite::replace);
  EXPECT_EQ(disk.bytes("out"), merged);
  EXPECT_NE(text_of(merged).find("from a later snug"), std::string::npos);
}

TEST_F(Rewrite, OnceDoneAMergeSurvivesAPowerCut) {
  open("a").put(RecordKind::measurement, key_of("x"), bytes("1"));
  const Digest contents = join("out", {"a"}).contents;
  disk.restore_power(Unsynced::lost, Names::lost);
  EXPECT_EQ(digest("out"), contents);
}

TEST_F(Rewrite, AFullDiskLeavesTheOldStoreAndNothingElse) {
  open("s").put(RecordKind::measurement, key_of("x"), bytes("1"));
  const Bytes before = disk.bytes("s");
  for (int64_t room = 0; room < std::ssize(before); ++room) {
    disk.fail_writes_after(room);
    EXPECT_THROW(compact(disk, "s"), Error);
    EXPECT_THROW(join("out", {"s"}), Error);
    EXPECT_EQ(disk.bytes("s"), before);
    EXPECT_EQ(disk.files(), 1u);
  }
}

/// Power goes before every operation in turn, with every fate of what was not synced.
void survives_power_cuts_everywhere(const std::function<void(ScratchDisk&)>& rewrite) {
  for (const auto unsynced : {Unsynced::lost, Unsynced::zeroed, Unsynced::kept})
    for (const auto names : {Names::lost, Names::kept})
      for (int64_t operations = 0;; ++operations) {
        SCOPED_TRACE(operations);
        ScratchDisk disk;
        {
          Store store = Store::open(disk, "s", Access::write);
          for (int i = 0; i < 5; ++i)
            store.put(RecordKind::measurement, key_of("same"), bytes(std::to_string(i)));
        }
        const Digest before = Store::open(disk, "s", Access::read).contents_digest();
        disk.cut_power_after(operations);
        bool done = true;
        try {
          rewrite(disk);
        } catch (const Error&) {
          done = false;
        }
        disk.restore_power(unsynced, names);
        const Store store = Store::open(disk, "s", Access::write);
        ASSERT_EQ(store.contents_digest(), before);
        ASSERT_TRUE(store.report().damage.empty());
        if (done) break;
      }
}

TEST(RewriteUnderPowerCuts, CompactKeepsEverything) {
  survives_power_cuts_everywhere([](ScratchDisk& disk) { compact(disk, "s"); });
}

TEST(RewriteUnderPowerCuts, MergeIntoAnInputKeepsEverything) {
  survives_power_cuts_everywhere([](ScratchDisk& disk) {
    const Paths inputs{"s"};
    merge(disk, "s", inputs, Overwrite::replace);
  });
}

}  // namespace
}  // namespace snug::test
