#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace snug::cli {

/// What help, completions and the man page need of the parsed command tree. Options that help does not show,
/// such as spellings of earlier versions, are left out.
struct OptionOutline {
  std::vector<std::string> names;             // "-o", "--out"; for a positional its name, "MODEL"
  std::string value;                          // "N", "FILE", "normal|max"; empty for a flag
  std::string help, usual;                    // usual: the default, empty where there is none to show
  std::string group;                          // the heading it stands under
  std::vector<std::string> words;             // the values allowed, where they are listed
  std::vector<std::string> excluded, needed;  // names of other options
  bool positional = false, takes_value = false, required = false, many = false;

  /// `help` with values, default and what else there is to know.
  std::string text() const;
};

struct CommandOutline {
  std::string name, help, footer, group;
  bool may_stand_alone = false;  // needs none of its commands
  std::vector<OptionOutline> options;
  std::vector<CommandOutline> commands;
};

CommandOutline outline_of(const CLI::App& app);

/// The values that CLI11's name of an option's type lists: "{a,b}", "{a->0,b->1}".
std::vector<std::string> words_in(const std::string& type);

}  // namespace snug::cli
