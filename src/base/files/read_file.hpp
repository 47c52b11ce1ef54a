#pragma once

#include <filesystem>
#include <string>

namespace snug {

/// The whole of a file. Throws Error of Fault::io with `remedy` where it cannot be opened or read.
std::string read_file(const std::filesystem::path& path, const std::string& remedy = "check the name");

}  // namespace snug
