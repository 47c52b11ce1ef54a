#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace snug::cli {

/// What completions and the man page need of the parsed command tree.
struct OptionOutline {
  std::vector<std::string> names;  // "-o", "--out"; for a positional its name
  std::string value, help;         // value: "TEXT", "{normal,max}"; empty for a flag
  std::vector<std::string> words;  // the values allowed, where they are listed
  bool positional = false, takes_value = false;
};

struct CommandOutline {
  std::string name, help, footer;
  std::vector<OptionOutline> options;
  std::vector<CommandOutline> commands;
};

CommandOutline outline_of(const CLI::App& app);

}  // namespace snug::cli
