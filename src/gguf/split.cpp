#include "gguf/split.hpp"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <string>
#include <string_view>
#include <system_error>

#include "base/files/output_path.hpp"

namespace snug::gguf {
namespace {

constexpr std::string_view kEnding = ".gguf";
constexpr size_t kDigits = 5;
constexpr size_t kTail = 1 + kDigits + 4 + kDigits + 5;  // -00001-of-00002.gguf

std::optional<int> five_digits(std::string_view text) {
  if (!std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; })) return {};
  int number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

}  // namespace

std::optional<SplitName> parse_split_name(const std::filesystem::path& path) {
  const std::string whole = path.string();
  if (whole.size() <= kTail) return {};
  const std::string_view tail = std::string_view{whole}.substr(whole.size() - kTail);
  if (tail[0] != '-' || tail.substr(1 + kDigits, 4) != "-of-" || !tail.ends_with(kEnding)) return {};
  const auto number = five_digits(tail.substr(1, kDigits));
  const auto count = five_digits(tail.substr(1 + kDigits + 4, kDigits));
  if (!number || !count || *number < 1 || *number > *count) return {};
  return SplitName{whole.substr(0, whole.size() - kTail), *number, *count};
}

std::filesystem::path split_name(const std::filesystem::path& prefix, int number, int count) {
  char tail[40];
  std::snprintf(tail, sizeof tail, "-%05d-of-%05d.gguf", number, count);
  return prefix.string() + tail;
}

std::vector<std::filesystem::path> split_files(const std::filesystem::path& path) {
  const auto name = parse_split_name(path);
  if (!name) return {path};
  std::vector<std::filesystem::path> files;
  for (int i = 1; i <= name->count; ++i) files.push_back(split_name(name->prefix, i, name->count));
  return files;
}

std::vector<std::filesystem::path> shards_in_place(const std::filesystem::path& out) {
  const std::filesystem::path prefix = split_prefix(out), folder = folder_of(out);
  std::vector<std::filesystem::path> found;
  std::error_code failed;
  for (std::filesystem::directory_iterator at{folder, failed}, end; !failed && at != end;
       at.increment(failed)) {
    const auto name = parse_split_name(at->path());
    if (name && name->prefix.filename() == prefix.filename()) found.push_back(at->path());
  }
  std::ranges::sort(found);
  return found;
}

std::filesystem::path split_prefix(const std::filesystem::path& path) {
  return path.extension() == kEnding ? path.parent_path() / path.stem() : path;
}

}  // namespace snug::gguf
