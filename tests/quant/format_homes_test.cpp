#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>

namespace snug {
namespace {

namespace fs = std::filesystem;

/// Files that choose among formats, for a runtime or for probing: no home of any of them.
const std::set<std::string> kChoosers = {"encode/candidates.cpp", "encode/target.cpp", "recipe/export.cpp",
                                         "measure/probe.cpp"};

/// Code without comments, in lower case and without underscores: "BlockQ2_0" and "q2_0" both hold "q20".
std::string code_of(const fs::path& path) {
  std::ifstream file{path};
  std::string text;
  for (std::string line; std::getline(file, line);)
    for (const char c : line.substr(0, line.find("//")) + "\n")
      if (c != '_') text += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

/// Whether the code names the format and not one whose name ends like it ("tq2_0", "iq2_s").
bool names(const std::string& code, const std::string& format) {
  for (size_t at = code.find(format); at != std::string::npos; at = code.find(format, at + 1))
    if (at == 0 || (code[at - 1] != 't' && code[at - 1] != 'i')) return true;
  return false;
}

std::set<std::string> homes_of(const std::string& format) {
  const fs::path source = fs::path{SNUG_SOURCE_DIR} / "src";
  std::set<std::string> homes;
  for (const auto& entry : fs::recursive_directory_iterator{source}) {
    const std::string name = fs::relative(entry.path(), source).generic_string();
    if (entry.is_regular_file() && !kChoosers.contains(name) && names(code_of(entry.path()), format))
      homes.insert(name);
  }
  return homes;
}

std::string listed(const std::set<std::string>& names) {
  std::ostringstream out;
  for (const std::string& name : names) out << " " << name;
  return out.str();
}

TEST(FormatHomes, AreItsRowItsBlockItsKernelsAndThePresetsOfThatName) {
  for (const char* format : {"q20", "q10", "q41", "q51", "tq20"}) {
    const std::set<std::string> homes = homes_of(format);
    EXPECT_TRUE(homes.contains("quant/format_rows.hpp")) << format << ":" << listed(homes);
    EXPECT_LE(homes.size(), 5u) << format << ":" << listed(homes);
  }
}

}  // namespace
}  // namespace snug
