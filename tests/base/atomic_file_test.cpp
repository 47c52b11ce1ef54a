#include "base/files/atomic_file.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <unistd.h>

#include <fstream>
#include <iterator>

#include "snug/error.hpp"
#include "support/scratch.hpp"

namespace snug {
namespace {

std::string contents(const std::filesystem::path& path) {
  std::ifstream in{path};
  return {std::istreambuf_iterator<char>{in}, {}};
}

size_t files_in(const std::filesystem::path& folder) {
  return static_cast<size_t>(std::distance(std::filesystem::directory_iterator{folder}, {}));
}

TEST(AtomicFile, AppearsWholeOnCommit) {
  const test::Scratch scratch;
  {
    AtomicFile file{scratch / "out", Existing::refuse};
    file.write("hello");
    EXPECT_FALSE(std::filesystem::exists(scratch / "out"));
    file.commit();
  }
  EXPECT_EQ(contents(scratch / "out"), "hello");
  EXPECT_EQ(files_in(scratch.path()), 1u);
}

TEST(AtomicFile, LeavesNothingBehindWithoutCommit) {
  const test::Scratch scratch;
  { AtomicFile{scratch / "out", Existing::refuse}.write("half"); }
  EXPECT_EQ(files_in(scratch.path()), 0u);
}

TEST(AtomicFile, ReplacesOnlyWhenTold) {
  const test::Scratch scratch;
  write_file(scratch / "out", "one", Existing::refuse);
  EXPECT_THROW(write_file(scratch / "out", "two", Existing::refuse), Error);
  EXPECT_EQ(contents(scratch / "out"), "one");
  write_file(scratch / "out", "two", Existing::replace);
  EXPECT_EQ(contents(scratch / "out"), "two");
}

TEST(AtomicFile, DoesNotReplaceAFileThatAppearedMeanwhile) {
  const test::Scratch scratch;
  AtomicFile file{scratch / "out", Existing::refuse};
  file.write("ours");
  write_file(scratch / "out", "theirs", Existing::refuse);
  EXPECT_THROW(file.commit(), Error);
  EXPECT_EQ(contents(scratch / "out"), "theirs");
}

TEST(AtomicFile, RemovesWhatAKilledWriterLeftAndNothingElse) {
  const test::Scratch scratch;
  const auto held = scratch / "out.snug-part-000002";
  for (const char* name : {"out.snug-part-000001", "out.snug-part-000002", "out.snug-part-1",
                           "out.snug-part-0000010", "out.part-000001", "other.snug-part-000001"})
    std::ofstream{scratch / name} << "x";
  const int writer = open(held.c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_EQ(flock(writer, LOCK_EX | LOCK_NB), 0);
  write_file(scratch / "out", "whole", Existing::replace);
  EXPECT_FALSE(std::filesystem::exists(scratch / "out.snug-part-000001"));
  EXPECT_TRUE(std::filesystem::exists(held)) << "it is being written";
  EXPECT_EQ(files_in(scratch.path()), 6u);
  close(writer);
  remove_leftovers(scratch / "out");
  EXPECT_FALSE(std::filesystem::exists(held));
  EXPECT_EQ(files_in(scratch.path()), 5u);
}

TEST(AtomicFile, ANameLeftByAKilledWriterIsNotInTheWay) {
  const test::Scratch scratch;
  std::string pid = std::to_string(getpid() % 1'000'000);
  const auto left = scratch / ("out.snug-part-" + std::string(6 - pid.size(), '0') + pid);
  AtomicFile file{scratch / "out", Existing::replace};
  std::ofstream{left} << "x";
  file.write("whole");
  file.commit();
  EXPECT_EQ(contents(scratch / "out"), "whole");
}

TEST(AtomicFile, TellsOfAFolderThatIsNotThere) {
  const test::Scratch scratch;
  try {
    AtomicFile file{scratch / "no" / "out", Existing::refuse};
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.fault(), Fault::io);
  }
}

TEST(AtomicFile, TellsAtOnceThatTheDiskHasNoRoom) {
  const test::Scratch scratch;
  try {
    AtomicFile file{scratch / "out", Existing::refuse, int64_t{1} << 50};
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.fault(), Fault::io);
  }
  EXPECT_EQ(files_in(scratch.path()), 0u);
}

}  // namespace
}  // namespace snug
