#include "cli/file_kind.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <string>
#include <string_view>

#include "base/str.hpp"
#include "snug/error.hpp"

namespace snug::cli {
namespace {

constexpr std::string_view kConvert = "convert it to GGUF with llama.cpp's convert_hf_to_gguf.py";

struct Foreign {
  std::string_view start, what, remedy;
};
constexpr Foreign kForeign[] = {
    {"PK\x03\x04", "a zip archive, such as a PyTorch checkpoint", kConvert},
    {"lmgg", "a GGML file from before GGUF", "get the model as GGUF"},
    {"fmgg", "a GGML file from before GGUF", "get the model as GGUF"},
    {"tjgg", "a GGML file from before GGUF", "get the model as GGUF"},
    {"\x1f\x8b", "compressed with gzip", "unpack it first"},
    {"\x28\xb5\x2f\xfd", "compressed with zstd", "unpack it first"},
    {"\x7f"
     "ELF",
     "a program", ""},
    {"version https://git-lfs", "a Git LFS pointer in place of the file",
     "fetch the file itself: git lfs pull"},
    {"<!DOCTYPE", "a web page, perhaps a failed download", "download the file again"},
    {"<html", "a web page, perhaps a failed download", "download the file again"},
};

std::string first_bytes(const std::filesystem::path& path) {
  if (std::filesystem::is_directory(path))
    throw Error{"this is a folder", path.string(),
                "name the file in it; of a split model the first: -00001-of-...gguf"};
  std::ifstream in{path, std::ios::binary};
  if (!in) throw io_error("open the file", path.string(), "check the name");
  std::string bytes(512, '\0');
  in.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  bytes.resize(static_cast<size_t>(in.gcount()));
  return bytes;
}

template <class T>
T number_at(const std::string& bytes, size_t offset) {
  T number{};
  if (bytes.size() >= offset + sizeof number) std::memcpy(&number, bytes.data() + offset, sizeof number);
  return number;
}

/// i32 entries, then per entry i32 name length and the name: nothing better to go by.
bool is_legacy_imatrix(const std::string& bytes) {
  const auto entries = number_at<int32_t>(bytes, 0), length = number_at<int32_t>(bytes, 4);
  if (entries < 1 || entries > 1'000'000 || length < 1 || length > 255 ||
      bytes.size() < 8u + static_cast<size_t>(length))
    return false;
  return std::ranges::all_of(bytes.substr(8, static_cast<size_t>(length)),
                             [](char c) { return c > ' ' && c <= '~'; });
}

/// u64 length of the JSON header, then the header.
bool is_safetensors(const std::string& bytes) {
  const auto header = number_at<uint64_t>(bytes, 0);
  return bytes.size() > 9 && header >= 2 && header < 100'000'000 && bytes[8] == '{';
}

}  // namespace

FileKind file_kind(const std::filesystem::path& path) {
  if (std::filesystem::exists(path / "config.json")) return FileKind::gguf;  // a checkpoint: read as a model is
  const std::string bytes = first_bytes(path);
  const auto refuse = [&](std::string_view what, std::string_view remedy) {
    throw Error{str("not a file of snug's: it is ", what), path.string(), std::string{remedy}};
  };
  if (bytes.empty()) refuse("empty", "");
  if (bytes.starts_with("GGUF")) return FileKind::gguf;
  if (bytes.starts_with("\x89SNUGS\r\n")) return FileKind::state;
  const size_t text = bytes.find_first_not_of(" \t\r\n");
  if (text != bytes.npos && bytes[text] == '{') return FileKind::recipe;
  for (const Foreign& foreign : kForeign)
    if (bytes.starts_with(foreign.start)) refuse(foreign.what, foreign.remedy);
  if (is_safetensors(bytes)) refuse("a safetensors file", kConvert);
  if (is_legacy_imatrix(bytes)) return FileKind::legacy_imatrix;
  refuse("of an unknown kind", "snug reads GGUF models, imatrix files, its own states and recipes");
  return {};
}

}  // namespace snug::cli
