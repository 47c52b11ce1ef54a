#include "base/atomic_file.hpp"

#include <gtest/gtest.h>

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
