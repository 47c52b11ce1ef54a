#include "base/files/atomic_folder.hpp"

#include <gtest/gtest.h>

#include <fstream>

#include "base/files/output_guard.hpp"
#include "snug/error.hpp"
#include "support/scratch.hpp"

namespace snug {
namespace {

namespace fs = std::filesystem;

class Folder : public testing::Test {
 protected:
  static bool has_only_txt(const fs::path& folder) {
    for (const auto& entry : fs::directory_iterator{folder})
      if (entry.path().extension() != ".txt") return false;
    return true;
  }
  void write(const std::string& text, Existing existing = Existing::refuse) const {
    AtomicFolder folder{out_, existing, has_only_txt};
    std::ofstream{folder.part() / "a.txt"} << text;
    folder.commit();
  }
  std::string read() const {
    std::string text;
    std::ifstream{out_ / "a.txt"} >> text;
    return text;
  }
  size_t entries() const {
    return static_cast<size_t>(std::distance(fs::directory_iterator{scratch_.path()}, fs::directory_iterator{}));
  }

  test::Scratch scratch_;
  fs::path out_ = scratch_ / "out";
};

TEST_F(Folder, AppearsWithCommitAndElseLeavesNothing) {
  {
    AtomicFolder folder{out_, Existing::refuse, has_only_txt};
    std::ofstream{folder.part() / "a.txt"} << "lost";
    EXPECT_FALSE(fs::exists(out_));
  }
  EXPECT_EQ(entries(), 0u);
  write("kept");
  EXPECT_EQ(read(), "kept");
  EXPECT_EQ(entries(), 1u);
}

TEST_F(Folder, IsReplacedOnlyWhereAskedAndAgreed) {
  write("old");
  EXPECT_THROW(write("new"), Error);
  write("new", Existing::replace);
  EXPECT_EQ(read(), "new");
  EXPECT_EQ(entries(), 1u);
  std::ofstream{out_ / "precious.doc"} << "x";
  EXPECT_THROW(write("newer", Existing::replace), Error);
  EXPECT_EQ(read(), "new");
}

TEST_F(Folder, AnEmptyFolderIsFilledUnasked) {
  fs::create_directory(out_);
  write("text");
  EXPECT_EQ(read(), "text");
}

TEST_F(Folder, ClearsAwayWhatAKilledWriterLeft) {
  fs::create_directories(scratch_ / "out.snug-part-123456/deep");
  const AtomicFolder writing{out_, Existing::refuse, has_only_txt};
  EXPECT_FALSE(fs::exists(scratch_ / "out.snug-part-123456"));
  const AtomicFolder other{out_, Existing::refuse, has_only_txt};
  EXPECT_TRUE(fs::exists(writing.part())) << "it is being written";
}

TEST_F(Folder, TheNameOfAFileOrOfAFolderAboveIsRefused) {
  std::ofstream{out_} << "a file";
  EXPECT_THROW(output_folder(out_, Existing::replace, has_only_txt), Error);
  EXPECT_THROW(output_folder(scratch_ / "no" / "such", Existing::refuse, has_only_txt), Error);
  EXPECT_THROW(output_folder("..", Existing::replace, has_only_txt), Error);
}

TEST_F(Folder, AGuardSeesInputsInTheFolder) {
  write("text");
  const auto check = [&](const fs::path& input) {
    OutputGuard guard{Existing::replace};
    guard.reads({input}).writes_folder(out_, has_only_txt);
    guard.check();
  };
  EXPECT_THROW(check(out_ / "a.txt"), Error);
  EXPECT_THROW(check(out_), Error);
  EXPECT_NO_THROW(check(scratch_ / "b.txt"));
}

}  // namespace
}  // namespace snug
