#pragma once

#include <CLI/CLI.hpp>

namespace snug::cli {

/// snug codec (encode | decode): one matrix in a raw file through one format.
void add_codec(CLI::App& app, int& exit_code);

}  // namespace snug::cli
