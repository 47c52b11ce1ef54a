#include "base/files/file_kind.hpp"

#include <gtest/gtest.h>

#include <fstream>

#include "base/printable.hpp"
#include "snug/error.hpp"
#include "support/scratch.hpp"

namespace snug {
namespace {

TEST(FileKind, ForeignFilesAreNamed) {
  const auto what = [](std::string_view bytes) {
    const auto foreign = foreign_file(bytes);
    return foreign ? foreign->what : std::string{};
  };
  EXPECT_NE(what("version https://git-lfs.github.com/spec/v1\noid sha256:").find("Git LFS"),
            std::string::npos);
  for (const char* page : {"<!DOCTYPE html>", "<!doctype HTML>", "\n  <html>", "<HTML lang=en>"})
    EXPECT_NE(what(page).find("web page"), std::string::npos) << page;
  const std::string header = R"({"__metadata__":{}})";
  EXPECT_NE(
      what(std::string{static_cast<char>(header.size())} + std::string(7, '\0') + header).find("safetensors"),
      std::string::npos);
  EXPECT_NE(what("").find("empty"), std::string::npos);
  EXPECT_EQ(what("GGUF\x03"), "");
  EXPECT_EQ(what("once upon a time"), "");
}

TEST(FileKind, AFolderOfACheckpointIsNamed) {
  const test::Scratch scratch;
  const auto problem = [&] {
    try {
      refuse_folder(scratch.path());
      return std::string{};
    } catch (const Error& error) {
      return error.problem();
    }
  };
  EXPECT_EQ(problem(), "this is a folder");
  std::ofstream{scratch / "config.json"} << "{}";
  EXPECT_NE(problem().find("Hugging Face"), std::string::npos);
  EXPECT_NO_THROW(refuse_folder(scratch / "config.json"));
}

TEST(Printable, KnowsUtf8) {
  for (const char* good : {"", "plain", "größer", "日本", "\U0001F600", "\x01\n"})
    EXPECT_TRUE(is_utf8(good)) << good;
  for (const char* bad :
       {"\xff", "\xc3", "\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "a\x80"})
    EXPECT_FALSE(is_utf8(bad)) << printable(bad);
}

}  // namespace
}  // namespace snug
