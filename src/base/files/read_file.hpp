#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace snug {

/// What is read whole is no longer than that: recipes, configurations, texts.
inline constexpr int64_t kMaxReadBytes = int64_t{1} << 30;

/// A descriptor of a regular file, open for reading, which the caller closes. Throws Error of Fault::io for anything
/// else, with `remedy` where it cannot be opened. Waits for nobody: a pipe that nothing writes to is refused too.
int open_regular_file(const std::filesystem::path& path, const std::string& remedy = "check the name");

/// The whole of a regular file. Throws Error of Fault::io with `remedy` where it cannot be opened or read, and where it is
/// longer than kMaxReadBytes.
std::string read_file(const std::filesystem::path& path, const std::string& remedy = "check the name");

/// A text that a person names, from a file, a pipe or a terminal. Throws as read_file() does.
std::string read_text(const std::filesystem::path& path);

}  // namespace snug
