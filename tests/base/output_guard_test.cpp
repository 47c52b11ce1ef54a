// Which outputs are refused before any work, and why.
#include "base/files/output_guard.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iterator>

#include "base/files/atomic_file.hpp"
#include "snug/error.hpp"
#include "support/scratch.hpp"

namespace snug {
namespace {

namespace fs = std::filesystem;

/// Root is allowed everything: while this lives, the process is somebody else where it was root.
class AsNobody {
 public:
  AsNobody() : was_root_(geteuid() == 0 && seteuid(65534) == 0) {}
  ~AsNobody() {
    if (was_root_ && seteuid(0) != 0) std::abort();
  }
  AsNobody(const AsNobody&) = delete;
  AsNobody& operator=(const AsNobody&) = delete;

 private:
  bool was_root_;
};

class Outputs : public testing::Test {
 protected:
  fs::path file(const std::string& name, const std::string& text = "x") const {
    std::ofstream{scratch_ / name} << text;
    return scratch_ / name;
  }
  static std::string contents(const fs::path& path) {
    std::ifstream in{path};
    return {std::istreambuf_iterator<char>{in}, {}};
  }
  template <class Work>
  static std::optional<Fault> fault_of(const Work& work) {
    try {
      work();
      return {};
    } catch (const Error& error) {
      return error.fault();
    }
  }
  static std::optional<Fault> checked(const OutputGuard& guard) {
    return fault_of([&] { guard.check(); });
  }
  static mode_t mode_of(const fs::path& path) {
    struct stat info {};
    return stat(path.c_str(), &info) == 0 ? info.st_mode & 0777 : 0;
  }

  const test::Scratch scratch_;
};

TEST_F(Outputs, AnInputIsKnownByAnyName) {
  const fs::path model = file("model");
  fs::create_hard_link(model, scratch_ / "hard");
  fs::create_symlink("model", scratch_ / "soft");
  fs::create_directory(scratch_ / "sub");
  for (const fs::path& name :
       {model, scratch_ / "hard", scratch_ / "soft", scratch_ / "sub/../model", scratch_ / "./hard"})
    EXPECT_EQ(checked(OutputGuard{Existing::replace}.reads({model}).writes(name)), Fault::usage) << name;
  EXPECT_EQ(checked(OutputGuard{Existing::replace}.reads({scratch_ / "soft"}).keeps(model)), Fault::usage);
  EXPECT_FALSE(
      checked(OutputGuard{Existing::replace}.reads({model, ""}).writes(scratch_ / "out").writes("")));
}

TEST_F(Outputs, TwoOutputsAreTwoFiles) {
  fs::create_symlink("later", scratch_ / "soft");  // to a file that is not there yet
  for (const char* name : {"later", "soft"})
    EXPECT_EQ(checked(OutputGuard{Existing::refuse}.writes(scratch_ / "later").keeps(scratch_ / name)),
              Fault::usage)
        << name;
  EXPECT_FALSE(checked(OutputGuard{Existing::refuse}.writes(scratch_ / "later").writes(scratch_ / "other")));
}

TEST_F(Outputs, WhatCannotBeWrittenIsToldBeforehand) {
  fs::create_directory(scratch_ / "sub");
  fs::create_symlink("nowhere/out", scratch_ / "dangling");
  fs::create_symlink("circle", scratch_ / "circle");
  ASSERT_EQ(mkfifo((scratch_ / "pipe").c_str(), 0600), 0);
  const std::string too_long(300, 'a');
  for (const std::string& name : std::vector<std::string>{"nowhere/out", "sub", "sub/", "dangling", "circle",
                                                          "pipe", "pipe/out", too_long}) {
    EXPECT_EQ(checked(OutputGuard{Existing::replace}.writes(scratch_ / name)), Fault::io) << name;
    EXPECT_EQ(fault_of([&] { AtomicFile{scratch_ / name, Existing::replace}; }), Fault::io) << name;
  }
  EXPECT_EQ(checked(OutputGuard{Existing::replace}.writes("/dev/null")), Fault::io);
  EXPECT_EQ(checked(OutputGuard{Existing::replace}.keeps(scratch_ / "sub")), Fault::io);
  EXPECT_EQ(checked(OutputGuard{Existing::refuse}.writes(file("there"))), Fault::io);
  EXPECT_FALSE(checked(OutputGuard{Existing::replace}.writes(file("there"))));
  EXPECT_FALSE(checked(OutputGuard{Existing::refuse}.keeps(file("there"))));
}

TEST_F(Outputs, RoomIsAddedUpOverOutputs) {
  const auto space = static_cast<int64_t>(fs::space(scratch_.path()).available);
  const auto two = [&](int64_t bytes) {
    return OutputGuard{Existing::refuse}.writes(scratch_ / "a", bytes).writes(scratch_ / "b", bytes);
  };
  EXPECT_EQ(checked(two(space * 3 / 4)), Fault::io);
  EXPECT_FALSE(checked(two(space / 8)));
}

TEST_F(Outputs, AFolderThatMayNotBeWrittenIsToldBeforehand) {
  const auto may_be_passed = fs::perms::owner_read | fs::perms::owner_exec | fs::perms::others_exec;
  fs::create_directory(scratch_ / "sub");
  fs::permissions(scratch_ / "sub", may_be_passed);
  fs::permissions(scratch_.path(), may_be_passed | fs::perms::owner_write);
  const AsNobody nobody;
  if (geteuid() == 0) GTEST_SKIP() << "nothing is forbidden to root, which nobody else may be here";
  EXPECT_EQ(checked(OutputGuard{Existing::refuse}.writes(scratch_ / "sub/out")), Fault::io);
  EXPECT_EQ(fault_of([&] { AtomicFile{scratch_ / "sub/out", Existing::refuse}; }), Fault::io);
}

TEST_F(Outputs, AFolderThatIsAFileIsToldBeforehand) {
  file("sub");
  EXPECT_EQ(checked(OutputGuard{Existing::replace}.writes(scratch_ / "sub/out")), Fault::io);
  EXPECT_EQ(checked(OutputGuard{Existing::replace}.keeps(scratch_ / "sub/state")), Fault::io);
}

TEST_F(Outputs, OneMayBeReplacedWhereOthersMayNot) {
  const fs::path there = file("there");
  EXPECT_EQ(checked(OutputGuard{Existing::refuse}.writes(there, Existing::refuse)), Fault::io);
  EXPECT_FALSE(checked(OutputGuard{Existing::refuse}.writes(there, Existing::replace)));
  EXPECT_EQ(checked(OutputGuard{Existing::refuse}.writes(there, Existing::replace).writes(file("other"))), Fault::io);
}

TEST_F(Outputs, ALinkStaysAndItsTargetIsWritten) {
  fs::create_directory(scratch_ / "disk");
  fs::create_symlink("disk/out", scratch_ / "link");
  fs::create_symlink("link", scratch_ / "second");
  write_file(scratch_ / "second", "new", Existing::refuse);
  EXPECT_EQ(contents(scratch_ / "disk/out"), "new");
  write_file(scratch_ / "link", "newer", Existing::replace);
  EXPECT_EQ(contents(scratch_ / "disk/out"), "newer");
  EXPECT_TRUE(fs::is_symlink(scratch_ / "link"));
  EXPECT_TRUE(fs::is_symlink(scratch_ / "second"));
}

TEST_F(Outputs, TheUmaskIsHeededAndPermissionsAreKept) {
  const mode_t before = umask(077);
  write_file(scratch_ / "private", "x", Existing::refuse);
  umask(022);
  write_file(scratch_ / "public", "x", Existing::refuse);
  fs::permissions(scratch_ / "public", fs::perms::owner_read | fs::perms::owner_write);
  write_file(scratch_ / "public", "y", Existing::replace);
  write_file(scratch_ / "usual", "x", Existing::refuse);
  umask(before);
  EXPECT_EQ(mode_of(scratch_ / "private"), 0600u);
  EXPECT_EQ(mode_of(scratch_ / "public"), 0600u);
  EXPECT_EQ(mode_of(scratch_ / "usual"), 0644u);
}

}  // namespace
}  // namespace snug
