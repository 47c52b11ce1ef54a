#include "base/files/file_kind.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "base/files/read_file.hpp"
#include "base/str.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

constexpr std::string_view kLfsPointer = "version https://git-lfs";
constexpr std::string_view kPickle =
    "name the folder of a checkpoint whose weights are *.safetensors; save_pretrained() in Python's transformers makes one";

struct Foreign {
  std::string_view start, what, remedy;
};
constexpr Foreign kForeign[] = {
    {"PK\x03\x04", "a zip archive, such as a PyTorch checkpoint", kPickle},
    {"lmgg", "a GGML file from before GGUF", "get the model as GGUF"},
    {"fmgg", "a GGML file from before GGUF", "get the model as GGUF"},
    {"tjgg", "a GGML file from before GGUF", "get the model as GGUF"},
    {"\x1f\x8b", "compressed with gzip", "unpack it first"},
    {"\x28\xb5\x2f\xfd", "compressed with zstd", "unpack it first"},
    {"\x7f"
     "ELF",
     "a program", ""},
    {kLfsPointer, "a Git LFS pointer in place of the file", "fetch the file itself: git lfs pull"},
};

/// <!doctype html> and <html> in any case, behind white space.
bool is_web_page(std::string_view bytes) {
  bytes.remove_prefix(std::min(bytes.find_first_not_of(" \t\r\n"), bytes.size()));
  std::string start{bytes.substr(0, 9)};
  std::ranges::transform(start, start.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return start.starts_with("<!doctype") || start.starts_with("<html");
}

std::string first_bytes(const std::filesystem::path& path) {
  refuse_folder(path);
  const int file = open_regular_file(path);
  std::string bytes(512, '\0');
  const ssize_t n = pread(file, bytes.data(), bytes.size(), 0);
  const int failure = errno;
  close(file);
  errno = failure;
  if (n < 0) throw io_error("read the file", path.string(), "check the disk");
  bytes.resize(static_cast<size_t>(n));
  return bytes;
}

template <class T>
T number_at(std::string_view bytes, size_t offset) {
  T number{};
  if (bytes.size() >= offset + sizeof number) std::memcpy(&number, bytes.data() + offset, sizeof number);
  return number;
}

/// i32 entries, then per entry i32 name length and the name: nothing better to go by.
bool is_legacy_imatrix(std::string_view bytes) {
  const auto entries = number_at<int32_t>(bytes, 0), length = number_at<int32_t>(bytes, 4);
  if (entries < 1 || entries > 1'000'000 || length < 1 || length > 255 ||
      bytes.size() < 8u + static_cast<size_t>(length))
    return false;
  return std::ranges::all_of(bytes.substr(8, static_cast<size_t>(length)),
                             [](char c) { return c > ' ' && c <= '~'; });
}

/// u64 length of the JSON header, then the header.
bool is_safetensors(std::string_view bytes) {
  const auto header = number_at<uint64_t>(bytes, 0);
  return bytes.size() > 9 && header >= 2 && header < 100'000'000 && bytes[8] == '{';
}

}  // namespace

bool is_lfs_pointer(std::string_view first_bytes) {
  return first_bytes.starts_with(kLfsPointer);
}

void refuse_foreign(std::string_view wanted, std::span<const std::byte> bytes, const std::string& where) {
  constexpr size_t kEnough = 512;
  const std::string_view start{reinterpret_cast<const char*>(bytes.data()), std::min(bytes.size(), kEnough)};
  if (const auto foreign = foreign_file(start))
    throw Error{str("this is no ", wanted, ": it is ", foreign->what), where, foreign->remedy};
}

std::optional<ForeignFile> foreign_file(std::string_view first_bytes) {
  if (first_bytes.empty()) return ForeignFile{"empty", "copy or download it again"};
  for (const Foreign& foreign : kForeign)
    if (first_bytes.starts_with(foreign.start))
      return ForeignFile{std::string{foreign.what}, std::string{foreign.remedy}};
  if (is_web_page(first_bytes))
    return ForeignFile{"a web page, perhaps a failed download", "download the file again"};
  if (is_safetensors(first_bytes)) return ForeignFile{"a safetensors file", "name the folder it lies in, with its config.json"};
  return {};
}

void refuse_folder(const std::filesystem::path& path) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(path, ignored)) return;
  if (std::filesystem::exists(path / "config.json", ignored))
    throw Error{"this is a folder of Hugging Face's kind", path.string(),
                "name a file: only a MODEL may be such a folder"};
  throw Error{"this is a folder", path.string(),
              "name the file in it; of a split model the first: -00001-of-...gguf"};
}

FileKind file_kind(const std::filesystem::path& path) {
  std::error_code ignored;
  if (std::filesystem::exists(path / "config.json", ignored)) return FileKind::gguf;  // a checkpoint: a model, too
  const std::string bytes = first_bytes(path);
  if (bytes.starts_with("GGUF")) return FileKind::gguf;
  if (bytes.starts_with("\x89SNUGS\r\n")) return FileKind::state;
  const size_t text = bytes.find_first_not_of(" \t\r\n");
  if (text != bytes.npos && bytes[text] == '{') return FileKind::recipe;
  if (const auto foreign = foreign_file(bytes))
    throw Error{str("not a file of snug's: it is ", foreign->what), path.string(), foreign->remedy};
  if (is_legacy_imatrix(bytes)) return FileKind::legacy_imatrix;
  throw Error{"not a file of snug's: it is of an unknown kind", path.string(),
              "snug reads GGUF models, imatrix files, its own states and recipes"};
}

}  // namespace snug
