#include "cli/commands.hpp"

namespace snug::cli {

void add_bench(CLI::App& app, int& exit_code) {
  auto* command = app.add_subcommand("bench", "how fast, and how well, this machine does the work");
  command->require_subcommand(1);
  add_bench_encode(*command, exit_code);
}

}  // namespace snug::cli
