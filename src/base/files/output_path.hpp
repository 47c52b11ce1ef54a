#pragma once

#include <filesystem>

#include "snug/output.hpp"

namespace snug {

/// Where what is written under `path` will lie: links are followed, also one whose target does not exist yet.
/// Throws Error of Fault::io where that is a folder, a device, a pipe or a socket, where its folder does not
/// exist or cannot be written, and where a file is there already and `existing` says refuse.
std::filesystem::path output_path(const std::filesystem::path& path, Existing existing);

/// The target of a chain of links, which need not exist; `path` itself where it is no link. Throws Error on a
/// circle.
std::filesystem::path follow_links(std::filesystem::path path);

/// Without the slash that a person may have typed behind a folder's name.
std::filesystem::path without_last_slash(const std::filesystem::path& path);

/// The folder a file lies in; "." for a bare name.
std::filesystem::path folder_of(const std::filesystem::path& path);

/// Throws Error of Fault::io unless new files can be made in the folder of `path`.
void check_folder_of(const std::filesystem::path& path);

}  // namespace snug
