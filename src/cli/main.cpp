#include <CLI/CLI.hpp>
#include <iostream>

#include "base/mapped_faults.hpp"
#include "base/open_descriptors.hpp"
#include "cli/commands.hpp"
#include "cli/common.hpp"
#include "cli/terminal_events.hpp"
#include "snug/error.hpp"

namespace {

constexpr const char* kAbout =
    "snug fits a language model into a size: it measures every tensor in every format,\n"
    "solves for the best recipe under a hard byte budget, and writes the GGUF.";

constexpr const char* kFooter =
    "Examples:\n"
    "  snug fit model-f16.gguf --imatrix imatrix.gguf --size 11GB -o out.gguf\n"
    "  snug fit model-f16.gguf --bpw 4.25 --dry-run\n"
    "  snug plan model-f16.gguf --curve csv > frontier.csv\n"
    "  snug quantize model-f16.gguf --preset q4_k_m -o q4_k_m.gguf\n"
    "\n"
    "Exit codes: 0 done, 1 bad input, 2 usage, 3 budget unreachable,\n"
    "4 interrupted with work saved, 5 I/O failure.\n"
    "`snug COMMAND --help` tells more of each command.";

int run(int argc, char** argv) {
  int exit_code = 0;
  CLI::App app{kAbout, "snug"};
  app.footer(kFooter);
  app.set_version_flag("--version", "snug " SNUG_VERSION);
  app.require_subcommand(1);
  app.fallthrough(false);
  snug::cli::add_fit(app, exit_code);
  snug::cli::add_measure(app, exit_code);
  snug::cli::add_plan(app, exit_code);
  snug::cli::add_convert(app, exit_code);
  snug::cli::add_quantize(app, exit_code);
  snug::cli::add_export(app, exit_code);
  snug::cli::add_eval(app, exit_code);
  snug::cli::add_report(app, exit_code);
  snug::cli::add_imatrix(app, exit_code);
  snug::cli::add_inspect(app, exit_code);
  snug::cli::add_audit(app, exit_code);
  snug::cli::add_codec(app, exit_code);
  snug::cli::add_state(app, exit_code);
  snug::cli::add_bench(app, exit_code);
  snug::cli::add_run(app, exit_code);
  snug::cli::add_tokenize(app, exit_code);
  snug::cli::add_completion(app, exit_code);
  snug::cli::add_man(app, exit_code);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (app.exit(error) != 0) return static_cast<int>(snug::Fault::usage);
    if (!std::cout.flush()) throw snug::io_error("write to standard output", "stdout");
    return 0;
  }
  return exit_code;
}

}  // namespace

/// Guarded as a whole: with very little memory even the list of options does not fit.
int main(int argc, char** argv) {
  snug::open_standard_descriptors();
  snug::allow_many_files();
  snug::cli::report_failed_writes();
  snug::install_mapped_fault_handler();
  return snug::cli::guarded([&] { return run(argc, argv); });
}
