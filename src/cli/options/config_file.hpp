#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace snug::cli {

/// $SNUG_CONFIG, else snug/config in $XDG_CONFIG_HOME or ~/.config. Nothing where none of them is set.
std::optional<std::filesystem::path> config_file();

/// Lines "home = /data/snug"; # begins a remark. Each stands for an environment variable, SNUG_HOME, and is taken where
/// that is not set: an option counts more than the environment, and that more than the file. A file that is not there
/// says nothing. Throws Error of Fault::usage that names the line.
void take_config_file();

/// The same of a text; `where` names the file.
void take_config(const std::string& text, const std::string& where);

}  // namespace snug::cli
