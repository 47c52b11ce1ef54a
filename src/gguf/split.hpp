#pragma once

#include <filesystem>
#include <optional>

namespace snug::gguf {

/// "<prefix>-00002-of-00005.gguf": number 2 of count 5.
struct SplitName {
  std::filesystem::path prefix;
  int number = 0, count = 0;
};

std::optional<SplitName> parse_split_name(const std::filesystem::path& path);
std::filesystem::path split_name(const std::filesystem::path& prefix, int number, int count);

/// Where a single output `path` is split: its name without ".gguf" is the prefix.
std::filesystem::path split_prefix(const std::filesystem::path& path);

}  // namespace snug::gguf
