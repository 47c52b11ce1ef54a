#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

namespace snug {

/// What becomes of a file that already has an output's name.
enum class Existing { refuse, replace };

/// An output that is in place.
struct WrittenModel {
  int64_t bytes = 0;  // of all files
  std::vector<std::filesystem::path> files;
};

}  // namespace snug
