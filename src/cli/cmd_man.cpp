#include "base/str.hpp"
#include "cli/text/app_outline.hpp"
#include "cli/commands.hpp"
#include "cli/common.hpp"

namespace snug::cli {
namespace {

/// Text as roff shows it: no line starts a request, backslashes and hyphens stay themselves.
std::string roff(const std::string& text) {
  std::string safe;
  bool line_start = true;
  for (const char c : text) {
    if (line_start && (c == '.' || c == '\'')) safe += "\\&";
    if (c == '\\') safe += "\\e";
    else if (c == '-') safe += "\\-";
    else safe += c;
    line_start = c == '\n';
  }
  return safe;
}

void write_options(const CommandOutline& command, std::string& text) {
  for (const OptionOutline& option : command.options) {
    std::string names;
    for (const std::string& name : option.names) names += str(names.empty() ? "" : ", ", "\\fB", roff(name), "\\fR");
    text += str(".TP\n", names, option.value.empty() || option.positional ? "" : str(" \\fI", roff(option.value), "\\fR"),
                "\n", roff(option.help), "\n");
  }
}

void write_command(const CommandOutline& command, const std::string& path, std::string& text) {
  text += str(".SS \"", path, "\"\n", roff(command.help), ".\n");
  write_options(command, text);
  if (!command.footer.empty()) text += str(".PP\n.nf\n", roff(command.footer), "\n.fi\n");
  for (const CommandOutline& inner : command.commands) write_command(inner, str(path, " ", inner.name), text);
}

std::string man_page(const CommandOutline& app) {
  std::string text = str(".TH SNUG 1 \"\" \"snug ", SNUG_VERSION, "\" \"User Commands\"\n",
                         ".SH NAME\nsnug \\- fit a language model into a size\n",
                         ".SH SYNOPSIS\n.B snug\n.I COMMAND\n[OPTIONS]\n.SH DESCRIPTION\n", roff(app.help), "\n",
                         ".SH OPTIONS\n");
  write_options(app, text);
  text += ".SH COMMANDS\n";
  for (const CommandOutline& command : app.commands) write_command(command, command.name, text);
  return text + str(".SH EXAMPLES AND EXIT STATUS\n.nf\n", roff(app.footer), "\n.fi\n");
}

}  // namespace

void add_man(CLI::App& app, int& exit_code) {
  auto* command = app.add_subcommand("man", "print the manual page (roff)");
  command->footer("Example:\n  snug man | man -l -");
  command->callback([&app, &exit_code] {
    exit_code = guarded([&] {
      print_out(man_page(outline_of(app)));
      return 0;
    });
  });
}

}  // namespace snug::cli
