// What is read whole is a file of its kind and no longer than that: nothing waits for a pipe, nothing reads a device to its end.
#include "base/files/read_file.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <thread>

#include "base/files/file_kind.hpp"
#include "base/files/mapped_file.hpp"
#include "snug/error.hpp"
#include "support/scratch.hpp"

namespace snug {
namespace {

template <class Read>
std::string refusal(const Read& read) {
  try {
    read();
  } catch (const Error& error) {
    EXPECT_EQ(error.fault(), Fault::io);
    EXPECT_NE(error.remedy(), "");
    return error.problem();
  }
  return "";
}

class ReadFile : public testing::Test {
 protected:
  std::filesystem::path pipe() const {
    const auto path = scratch_ / "pipe";
    EXPECT_EQ(mkfifo(path.c_str(), 0600), 0);
    return path;
  }
  const test::Scratch scratch_;
};

TEST_F(ReadFile, GivesAllBytes) {
  std::string text(200'000, 'a');
  text += '\0';
  text += "end";
  std::ofstream{scratch_ / "file"} << text;
  EXPECT_EQ(read_file(scratch_ / "file"), text);
  EXPECT_EQ(read_text(scratch_ / "file"), text);
  std::ofstream{scratch_ / "empty"};
  EXPECT_EQ(read_file(scratch_ / "empty"), "");
}

TEST_F(ReadFile, WaitsForNoPipe) {
  const auto path = pipe();
  EXPECT_EQ(refusal([&] { read_file(path); }), "not a regular file");
  EXPECT_EQ(refusal([&] { file_kind(path); }), "not a regular file");
  EXPECT_EQ(refusal([&] { MappedFile{path}; }), "not a regular file");
}

TEST_F(ReadFile, ReadsATextOutOfAPipe) {
  const auto path = pipe();
  std::thread writer{[&] { std::ofstream{path} << "once upon a time"; }};
  EXPECT_EQ(read_text(path), "once upon a time");
  writer.join();
}

TEST_F(ReadFile, RefusesDevicesFoldersAndWhatIsMissing) {
  for (const char* device : {"/dev/zero", "/dev/null"})
    EXPECT_EQ(refusal([&] { read_file(device); }), "not a regular file") << device;
  EXPECT_EQ(refusal([&] { read_file(scratch_.path()); }), "not a regular file");
  EXPECT_NE(refusal([&] { read_text(scratch_.path()); }).find("cannot read the file"), std::string::npos);
  EXPECT_NE(refusal([&] { read_file(scratch_ / "none"); }).find("cannot open the file"), std::string::npos);
}

TEST_F(ReadFile, RefusesALongFileAtOnce) {
  const auto path = scratch_ / "long";
  std::ofstream{path};
  std::filesystem::resize_file(path, static_cast<uintmax_t>(kMaxReadBytes) + 1);  // a hole
  EXPECT_NE(refusal([&] { read_file(path); }).find("longer than"), std::string::npos);
  EXPECT_NE(refusal([&] { read_text(path); }).find("longer than"), std::string::npos);
}

}  // namespace
}  // namespace snug
