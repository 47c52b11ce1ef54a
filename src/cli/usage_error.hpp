#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "snug/error.hpp"

namespace snug::cli {

/// What is wrong with a command line, in words of ours, and what was probably meant. `app` is what was parsed
/// with.
Error usage_error(const CLI::App& app, const CLI::ParseError& error);

/// `name` is none of the commands of `command`, which a person calls `path`: "snug state".
Error unknown_command(const CLI::App& command, const std::string& path, const std::string& name);

}  // namespace snug::cli
