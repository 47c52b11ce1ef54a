#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

namespace snug {

/// What becomes of a file that already has an output's name.
enum class Existing { refuse, replace };

/// An output that is in place.
struct WrittenModel {
  int64_t bytes = 0;  // of all files that hold weights
  std::vector<std::filesystem::path> files;             // those
  std::vector<std::filesystem::path> companions = {};   // others of an output that is a folder
};

}  // namespace snug
