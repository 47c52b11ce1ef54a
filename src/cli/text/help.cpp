#include "cli/text/help.hpp"

#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <vector>

#include "base/str.hpp"
#include "cli/options/groups.hpp"
#include "cli/terminal/terminal_width.hpp"
#include "cli/text/app_outline.hpp"
#include "cli/text/wrap.hpp"

namespace snug::cli {
namespace {

constexpr size_t kColumn = 28;               // where descriptions begin
constexpr size_t kWidest = 116;              // longer lines are hard to read
constexpr const char* kNoGroup = "Options";  // CLI11's own heading

/// "  left         right, as many lines as it takes".
std::string entry(const std::string& names, const std::string& text, size_t width) {
  std::string line = "  " + names;
  if (characters(line) + 2 > kColumn)
    line += "\n" + std::string(kColumn, ' ');
  else
    line.resize(line.size() + kColumn - characters(line), ' ');
  return line + wrapped(text, width, kColumn, kColumn) + "\n";
}

std::string joined(const std::vector<std::string>& words, const char* between) {
  std::string text;
  for (const std::string& word : words) text += str(text.empty() ? "" : between, word);
  return text;
}

/// "-o, --out FILE"; long names stand under each other.
std::string names_of(const OptionOutline& option) {
  if (option.positional) return option.names.front();
  const bool is_short = option.names.front().size() == 2;
  return str(is_short ? "" : "    ", joined(option.names, ", "), option.takes_value ? " " : "", option.value);
}

bool is_help(const OptionOutline& option) {
  return option.names.back() == "--help";
}

std::string options_of(const CommandOutline& command, const std::string& group, size_t width) {
  std::string text;
  for (const OptionOutline& option : command.options)
    if (!option.positional && option.group == group && !is_help(option))
      text += entry(names_of(option), option.text(), width);
  return text;
}

std::string help_option_of(const CommandOutline& command, size_t width) {
  for (const OptionOutline& option : command.options)
    if (is_help(option)) return entry(names_of(option), option.text(), width);
  return {};
}

std::string positionals_of(const CommandOutline& command, size_t width) {
  std::string text;
  for (const OptionOutline& option : command.options)
    if (option.positional) text += entry(option.names.front(), option.text(), width);
  return text.empty() ? text : "\n" + text;
}

std::string section(const std::string& heading, const std::string& text) {
  return text.empty() ? text : str("\n", heading, ":\n", text);
}

/// Options without a heading of their own first, then the others in the order of kGroups; --help comes last.
std::string sections_of(const CommandOutline& command, size_t width) {
  const std::string help = help_option_of(command, width), say = options_of(command, kSay, width);
  std::string text = section(kNoGroup, options_of(command, kNoGroup, width) + (say.empty() ? help : ""));
  for (const char* group : kGroups)
    if (group != kSay) text += section(group, options_of(command, group, width));
  return text + (say.empty() ? "" : section(kSay, say + help));
}

std::string commands_of(const CommandOutline& command, size_t width) {
  std::vector<std::string> groups;
  for (const CommandOutline& inner : command.commands)
    if (std::ranges::count(groups, inner.group) == 0) groups.push_back(inner.group);
  std::string text;
  for (const std::string& group : groups) {
    std::string entries;
    for (const CommandOutline& inner : command.commands)
      if (inner.group == group) entries += entry(inner.name, inner.help, width);
    text += section(group, entries);
  }
  return text;
}

std::string usage_of(const CommandOutline& command, const std::string& name, size_t width) {
  std::string line = str("Usage: ", name);
  if (!command.commands.empty()) line += command.may_stand_alone ? " [COMMAND]" : " COMMAND";
  for (const OptionOutline& option : command.options)
    if (option.positional)
      line += option.required ? str(" ", option.names.front(), option.many ? "..." : "")
                              : str(" [", option.names.front(), option.many ? "...]" : "]");
  return wrapped(line + " [OPTIONS]", width, 4) + "\n";
}

/// Paragraphs are filled, lines that begin with spaces are commands, lines that end with a colon are
/// headings.
std::string footer_of(const std::string& footer, size_t width) {
  std::string text, paragraph;
  const auto end_paragraph = [&] {
    if (!paragraph.empty()) text += str("\n", wrapped(paragraph, width), "\n");
    paragraph.clear();
  };
  for (size_t at = 0; at < footer.size();) {
    const size_t end = std::min(footer.find('\n', at), footer.size());
    const std::string line = footer.substr(at, end - at);
    at = end + 1;
    const bool is_command = line.starts_with("  "), is_heading = line.ends_with(":");
    if (is_command || is_heading || line.empty()) end_paragraph();
    if (is_command)
      text += str("  ", wrapped_command(line, width, 6, 2), "\n");
    else if (is_heading)
      text += str("\n", line, "\n");
    else
      paragraph += str(paragraph.empty() ? "" : " ", line);
  }
  end_paragraph();
  return text;
}

std::string sentence(std::string text) {
  if (text.empty()) return text;
  text.front() = static_cast<char>(std::toupper(static_cast<unsigned char>(text.front())));
  return text.ends_with('.') ? text : text + ".";
}

}  // namespace

std::string help_text(const CLI::App& app, const std::string& name, size_t width) {
  const CommandOutline command = outline_of(app);
  return str(wrapped(sentence(command.help), width), "\n\n", usage_of(command, name, width),
             commands_of(command, width), positionals_of(command, width), sections_of(command, width),
             footer_of(command.footer, width));
}

std::string Help::make_help(const CLI::App* app, std::string name, CLI::AppFormatMode) const {
  return help_text(*app, name, std::min(text_columns(STDOUT_FILENO), kWidest));
}

}  // namespace snug::cli
