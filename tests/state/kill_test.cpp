#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "state/store_fixture.hpp"
#include "support/scratch.hpp"

namespace snug::test {
namespace {

/// The number of the last record that sync() has acknowledged, told by the child up to the instant of its
/// death.
class Acknowledged {
 public:
  Acknowledged()
      : shared_(static_cast<std::atomic<int>*>(mmap(nullptr, sizeof(std::atomic<int>), PROT_READ | PROT_WRITE,
                                                    MAP_SHARED | MAP_ANONYMOUS, -1, 0))) {}
  ~Acknowledged() { munmap(shared_, sizeof(std::atomic<int>)); }
  Acknowledged(const Acknowledged&) = delete;
  Acknowledged& operator=(const Acknowledged&) = delete;
  std::atomic<int>& records() { return *shared_; }

 private:
  std::atomic<int>* shared_;
};

Bytes payload_of(int number) {
  std::mt19937_64 random{static_cast<uint64_t>(number)};
  return random_payload(random);
}

Digest name_of(int number) {
  return key_of(std::to_string(number));
}

/// Goes on where the last life ended, until it is killed.
[[noreturn]] void append_forever(const std::filesystem::path& path, std::atomic<int>& acknowledged) {
  Store store = Store::open(path, Access::write);
  for (int i = static_cast<int>(store.count(RecordKind::measurement));; ++i) {
    store.put(RecordKind::measurement, name_of(i), payload_of(i));
    if (i % 3) continue;
    store.sync();
    acknowledged = i + 1;
  }
}

TEST(Kill, EveryAcknowledgedRecordSurvivesThreeHundredKills) {
  const Scratch scratch;
  Acknowledged acknowledged;
  std::mt19937_64 random{1};
  int64_t records = 0;
  for (int life = 0; life < 300; ++life) {
    SCOPED_TRACE(life);
    if (life % 50 == 0) {  // a fresh store now and then, so that creation is hit as well
      std::filesystem::remove(scratch / "s");
      acknowledged.records() = 0;
    }
    const pid_t child = fork();
    if (child == 0) append_forever(scratch / "s", acknowledged.records());
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 6000));
    kill(child, SIGKILL);
    int status = 0;
    waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the child ended by itself";
    if (!std::filesystem::exists(scratch / "s")) continue;  // killed before it came to that

    const Store store = Store::open(scratch / "s", Access::read);
    ASSERT_TRUE(store.report().damage.empty());
    const auto held = static_cast<int>(store.count(RecordKind::measurement));
    ASSERT_GE(held, acknowledged.records());
    ASSERT_EQ(store.report().superseded, 0);
    for (int i = 0; i < held; ++i) ASSERT_EQ(store.get(RecordKind::measurement, name_of(i)), payload_of(i));
    records = std::max<int64_t>(records, held);
  }
  RecordProperty("records", static_cast<int>(records));
  EXPECT_GT(records, 10);
}

TEST(Kill, TheResumedRunHasTheBytesOfOneThatWasNeverInterrupted) {
  const Scratch scratch;
  Acknowledged acknowledged;
  std::mt19937_64 random{2};
  for (int life = 0; life < 10; ++life) {
    const pid_t child = fork();
    if (child == 0) append_forever(scratch / "s", acknowledged.records());
    std::this_thread::sleep_for(std::chrono::microseconds(2000 + random() % 4000));
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
  }
  const auto content = [&](const char* name) {
    Store store = Store::open(scratch / name, Access::write);
    for (int i = static_cast<int>(store.count(RecordKind::measurement)); i < 4000; ++i)
      store.put(RecordKind::measurement, name_of(i), payload_of(i));
    return store.contents_digest();
  };
  EXPECT_EQ(content("s"), content("whole"));
  const auto read = [&](const char* name) {
    const auto file = state::real_disk().open(scratch / name, state::Disk::Open::read);
    Bytes bytes(static_cast<size_t>(file->size()));
    file->read_at(0, bytes);
    return bytes;
  };
  EXPECT_EQ(read("s"), read("whole"));
}

}  // namespace
}  // namespace snug::test
