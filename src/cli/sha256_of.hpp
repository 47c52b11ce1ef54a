#pragma once

#include <filesystem>
#include <string>

namespace snug::cli {

/// 64 digits, as `sha256sum` prints them. Reads all of the file and shows how far it is.
std::string sha256_of(const std::filesystem::path& file);

}  // namespace snug::cli
