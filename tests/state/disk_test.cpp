#include "state/disk.hpp"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <functional>

#include "snug/error.hpp"
#include "state/store_fixture.hpp"
#include "support/scratch.hpp"

namespace snug::test {
namespace {

/// Runs `body` in a process of its own that has the first of `ready` to write to; returns its id.
pid_t fork_child(const std::function<void()>& body) {
  const pid_t child = fork();
  if (child != 0) return child;
  try {
    body();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "in the child: %s\n", error.what());
    _exit(1);
  }
  _exit(0);
}

int exit_code_of(pid_t child) {
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.fault(), Fault::io) << error.what();
    return error.what();
  }
  return "no error";
}

void expect_mentions(const std::string& message, const std::string& part) {
  EXPECT_NE(message.find(part), std::string::npos) << message << "\n  does not mention: " << part;
}

TEST(Disk, ASecondWriterIsToldWhichProcessWrites) {
  const Scratch scratch;
  int pipe_ends[2];
  ASSERT_EQ(pipe(pipe_ends), 0);
  const pid_t child = fork_child([&] {
    Store store = Store::open(scratch / "s", Access::write);
    store.put(RecordKind::note, key_of("a"), bytes("1"));
    store.sync();
    (void)!write(pipe_ends[1], "x", 1);
    pause();
  });
  char ready;
  ASSERT_EQ(read(pipe_ends[0], &ready, 1), 1);
  const auto second = [&] { Store::open(scratch / "s", Access::write); };
  expect_mentions(message_of(second), "process " + std::to_string(child));
  EXPECT_TRUE(Store::open(scratch / "s", Access::read).contains(RecordKind::note, key_of("a")))
      << "readers may";
  kill(child, SIGKILL);
  exit_code_of(child);
  EXPECT_EQ(message_of(second), "no error") << "the lock ends with its holder";
  close(pipe_ends[0]);
  close(pipe_ends[1]);
}

TEST(Disk, ASecondWriterInTheSameProcessIsRefusedToo) {
  const Scratch scratch;
  const Store store = Store::open(scratch / "s", Access::write);
  expect_mentions(message_of([&] { Store::open(scratch / "s", Access::write); }), "another writer");
}

TEST(Disk, ALockOnAFileThatWasReplacedMeanwhileSaysSo) {
  const Scratch scratch;
  Store::open(scratch / "s", Access::write).put(RecordKind::note, key_of("a"), bytes("1"));
  const auto opened_before = state::real_disk().open(scratch / "s", state::Disk::Open::write);
  compact(scratch / "s");
  EXPECT_EQ(opened_before->try_lock(), state::File::Lock::replaced);
}

TEST(Disk, AWriterNeverEndsUpInAFileThatCompactReplaced) {
  const Scratch scratch;
  constexpr int kWriters = 3, kEach = 40;
  std::vector<pid_t> children;
  for (int w = 0; w < kWriters; ++w)
    children.push_back(fork_child([&] {
      for (int i = 0; i < kEach;) {
        try {
          Store store = Store::open(scratch / "s", Access::write);
          store.put(RecordKind::note, key_of(std::to_string(w) + "/" + std::to_string(i)), bytes("1"));
          ++i;
        } catch (const Error&) {  // busy
          usleep(200);
        }
        try {
          if (i % 3 == 0) compact(scratch / "s");
        } catch (const Error&) {
        }
      }
    }));
  for (const pid_t child : children) EXPECT_EQ(exit_code_of(child), 0);
  const Store store = Store::open(scratch / "s", Access::read);
  EXPECT_EQ(store.count(RecordKind::note), kWriters * kEach);
  EXPECT_TRUE(store.report().damage.empty());
}

TEST(Disk, WhatIsNoFileIsRefusedWithoutWaiting) {
  const Scratch scratch;
  ASSERT_EQ(mkfifo((scratch / "pipe").c_str(), 0600), 0);
  for (const Access access : {Access::read, Access::write}) {
    expect_mentions(message_of([&] { Store::open(scratch.path(), access); }), scratch.path().string());
    expect_mentions(message_of([&] { Store::open(scratch / "pipe", access); }), "pipe");
    expect_mentions(message_of([&] { Store::open("/dev/null", access); }), "not a regular file");
    expect_mentions(message_of([&] { Store::open(scratch / "no folder/s", access); }), "No such file");
  }
}

/// Runs without root's rights, which pass every permission.
int as_nobody(const std::function<void()>& body) {
  return exit_code_of(fork_child([&] {
    if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0)) _exit(2);
    body();
    if (testing::Test::HasFailure()) _exit(3);
  }));
}

TEST(Disk, AReadOnlyFileAndFolderCanBeReadAndSayWhyTheyCannotBeWritten) {
  const Scratch scratch;
  Store::open(scratch / "s", Access::write).put(RecordKind::note, key_of("a"), bytes("1"));
  chmod((scratch / "s").c_str(), 0444);
  chmod(scratch.path().c_str(), 0555);
  const auto body = [&] {
    EXPECT_TRUE(Store::open(scratch / "s", Access::read).contains(RecordKind::note, key_of("a")));
    expect_mentions(message_of([&] { Store::open(scratch / "s", Access::write); }), "Permission denied");
    expect_mentions(message_of([&] { Store::open(scratch / "new", Access::write); }), "Permission denied");
    const std::vector<std::filesystem::path> inputs{scratch / "s"};
    expect_mentions(message_of([&] { merge(scratch / "out", inputs); }), "Permission denied");
  };
  EXPECT_EQ(as_nobody(body), 0);
  chmod(scratch.path().c_str(), 0755);
}

/// Puts records until the disk is full, then checks that what was acknowledged is there and the store is
/// sound.
void fill_and_check(const std::filesystem::path& path) {
  int saved = 0;
  std::string message;
  std::mt19937_64 random{1};
  Bytes noise(5000);
  for (std::byte& b : noise) b = static_cast<std::byte>(random());
  {
    Store store = Store::open(path, Access::write);
    message = message_of([&] {
      while (saved < 1000) {
        store.put(RecordKind::note, key_of(std::to_string(saved)), noise);
        store.sync();
        ++saved;
      }
    });
  }
  expect_mentions(message, std::to_string(saved) + " records are saved");
  EXPECT_GT(saved, 0);
  const Store store = Store::open(path, Access::read);
  EXPECT_EQ(store.count(RecordKind::note), saved);
  EXPECT_EQ(store.report().torn_tail_bytes, 0);
  EXPECT_TRUE(store.report().damage.empty());
}

TEST(Disk, AFileSizeLimitLeavesAWholeStore) {
  const Scratch scratch;
  EXPECT_EQ(exit_code_of(fork_child([&] {
              std::signal(SIGXFSZ, SIG_IGN);
              const rlimit limit{100'001, 100'001};
              setrlimit(RLIMIT_FSIZE, &limit);
              fill_and_check(scratch / "s");
              _exit(testing::Test::HasFailure() ? 3 : 0);
            })),
            0);
}

/// Where the system lets us mount (as root); elsewhere the limit above and the scratch disk stand for it.
TEST(Disk, AFullDiskLeavesAWholeStore) {
  const Scratch scratch;
  if (mount("none", scratch.path().c_str(), "tmpfs", 0, "size=64k") != 0)
    GTEST_SKIP() << "no small disk can be mounted here (needs root)";
  fill_and_check(scratch / "s");
  EXPECT_EQ(umount(scratch.path().c_str()), 0);
}

}  // namespace
}  // namespace snug::test
