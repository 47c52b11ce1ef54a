#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

namespace snug::test {

/// A folder of its own for one test, removed with everything in it.
class Scratch {
 public:
  Scratch() {
    std::string name = (std::filesystem::temp_directory_path() / "snug-test-XXXXXX").string();
    if (!mkdtemp(name.data())) std::abort();
    path_ = name;
  }
  ~Scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// Facts and figures that tests compare with; its README says where each comes from.
inline std::filesystem::path data_folder() { return std::filesystem::path{SNUG_SOURCE_DIR} / "tests" / "data"; }

/// The folder ../shared beside the project, or empty where there is none: tests that need it then skip and say so.
inline std::filesystem::path shared_folder() {
  const std::filesystem::path folder = std::filesystem::path{SNUG_SOURCE_DIR} / ".." / "shared";
  return std::filesystem::exists(folder / "models") ? folder : std::filesystem::path{};
}

}  // namespace snug::test
