#pragma once

#include <filesystem>
#include <optional>
#include <vector>

namespace snug::gguf {

/// "<prefix>-00002-of-00005.gguf": number 2 of count 5.
struct SplitName {
  std::filesystem::path prefix;
  int number = 0, count = 0;
};

std::optional<SplitName> parse_split_name(const std::filesystem::path& path);
/// The names of all files of the split that `path` is one of by its name; `path` alone where it is none.
std::vector<std::filesystem::path> split_files(const std::filesystem::path& path);

/// Files beside `out` that have a name of its split, whatever their number and count: what writing it in
/// pieces may replace.
std::vector<std::filesystem::path> shards_in_place(const std::filesystem::path& out);

std::filesystem::path split_name(const std::filesystem::path& prefix, int number, int count);

/// Where a single output `path` is split: its name without ".gguf" is the prefix.
std::filesystem::path split_prefix(const std::filesystem::path& path);

}  // namespace snug::gguf
