#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace snug {

enum class FileKind { gguf, legacy_imatrix, state, recipe };

/// What a file is, by its first bytes. Throws Error for everything else: names what it seems to be
/// (safetensors, a PyTorch checkpoint, a GGML file from before GGUF, ...) and what to do with it.
FileKind file_kind(const std::filesystem::path& path);

/// What a file of none of these kinds seems to be, e.g. "a web page, perhaps a failed download".
struct ForeignFile {
  std::string what, remedy;
};

/// Throws Error where the first bytes are a foreign file's: "this is no <wanted>: it is a web page, ...".
void refuse_foreign(std::string_view wanted, std::span<const std::byte> bytes, const std::string& where);

/// By its first bytes (some hundred suffice); nothing where they tell nothing.
std::optional<ForeignFile> foreign_file(std::string_view first_bytes);

/// A Git LFS pointer is text: whatever reads text must ask.
bool is_lfs_pointer(std::string_view first_bytes);

/// Throws Error where `path` is a folder, saying which kind (a Hugging Face checkpoint, ...).
void refuse_folder(const std::filesystem::path& path);

}  // namespace snug
