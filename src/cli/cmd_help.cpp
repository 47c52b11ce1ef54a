#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "base/str.hpp"
#include "cli/commands.hpp"
#include "cli/common.hpp"
#include "cli/usage_error.hpp"

namespace snug::cli {
namespace {

int show_help(const CLI::App& app, const std::vector<std::string>& words) {
  const CLI::App* command = &app;
  std::string path;
  for (const std::string& word : words) {
    path += str(path.empty() ? "" : " ", command->get_name());
    const auto found = command->get_subcommands([&](const CLI::App* inner) { return inner->check_name(word); });
    if (found.empty()) throw unknown_command(*command, path, word);
    command = found.front();
  }
  path += str(path.empty() ? "" : " ", command->get_name());
  print_out(app.get_formatter()->make_help(command, path, CLI::AppFormatMode::Normal));
  return 0;
}

}  // namespace

void add_help(CLI::App& app, int& exit_code) {
  auto words = std::make_shared<std::vector<std::string>>();
  auto* command = app.add_subcommand("help", "show the help of a command");
  command->add_option("COMMAND", *words, "e.g. fit, or state merge; without one, all commands");
  command->footer("Examples:\n  snug help fit\n  snug help state merge");
  command->callback(
      [words, &app, &exit_code] { exit_code = guarded([&] { return show_help(app, *words); }); });
}

void add_version(CLI::App& app, int& exit_code) {
  auto* command = app.add_subcommand("version", "show the version");
  command->footer("Example:\n  snug version");
  command->callback([&exit_code] {
    exit_code = guarded([] {
      print_out("snug " SNUG_VERSION);
      return 0;
    });
  });
}

}  // namespace snug::cli
