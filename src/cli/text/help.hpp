#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace snug::cli {

/// Help in plain words, laid out to the width of standard output: commands and options under headings, values
/// named by what they are (N, FILE, a|b), defaults in words, examples as lines that a shell takes.
class Help final : public CLI::FormatterBase {
 public:
  std::string make_help(const CLI::App* app, std::string name, CLI::AppFormatMode mode) const override;
};

/// The same of any width; `name` is what a person types: "snug fit".
std::string help_text(const CLI::App& app, const std::string& name, size_t width);

}  // namespace snug::cli
