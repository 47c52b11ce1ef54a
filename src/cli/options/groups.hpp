#pragma once

#include <CLI/CLI.hpp>

namespace snug::cli {

/// The headings under which help lists options, in this order.
inline constexpr const char* kGroups[] = {"What to work on", "Wishes beyond the budget", "How hard to try",
                                          "How the model is run", "Where files go", "What to say"};
inline constexpr const char *kWhat = kGroups[0], *kWishes = kGroups[1], *kHow = kGroups[2], *kRun = kGroups[3],
                            *kWhere = kGroups[4], *kSay = kGroups[5];

/// Options added from here on stand under that heading.
inline CLI::App& under(CLI::App& command, const char* group) {
  command.option_defaults()->group(group);
  return command;
}

}  // namespace snug::cli
