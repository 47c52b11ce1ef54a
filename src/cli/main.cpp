#include <CLI/CLI.hpp>
#include <algorithm>
#include <initializer_list>
#include <iostream>
#include <memory>
#include <string_view>

#include "base/files/mapped_faults.hpp"
#include "base/files/open_descriptors.hpp"
#include "cli/commands.hpp"
#include "cli/common.hpp"
#include "cli/options/config_file.hpp"
#include "cli/report_error.hpp"
#include "cli/terminal/terminal_events.hpp"
#include "cli/text/help.hpp"
#include "cli/usage_error.hpp"
#include "snug/error.hpp"

namespace {

constexpr const char* kAbout =
    "snug fits a language model into a size: it measures every tensor in every format, solves for the best recipe "
    "under a hard byte budget, and writes the model.";

constexpr const char* kFooter =
    "Examples:\n"
    "  snug fit model-f16.gguf --imatrix imatrix.gguf --size 11GB -o out.gguf\n"
    "  snug fit model-f16.gguf --bpw 4.25 --dry-run\n"
    "  snug plan model-f16.gguf --curve csv > frontier.csv\n"
    "  snug quantize model-f16.gguf --preset q4_k_m -o q4_k_m.gguf\n"
    "\n"
    "Exit codes: 0 done, 1 bad input, 2 usage, 3 budget unreachable, 4 interrupted with work saved, 5 I/O failure. "
    "`snug help COMMAND` tells more of each command.";

/// Commands as help shows them.
void group_commands(CLI::App& app) {
  const auto put = [&](const char* group, std::initializer_list<const char*> names) {
    for (const char* name : names) app.get_subcommand(name)->group(group);
  };
  put("Fit a model", {"fit", "plan", "measure", "imatrix", "quantize", "convert"});
  put("Look at a model", {"eval", "run", "bench", "report", "audit", "inspect", "tokenize"});
  put("Keep and pass on", {"status", "measurements", "state", "export", "codec"});
  put("Help", {"help", "version", "completion", "man"});
}

/// In the order in which help shows them.
void add_commands(CLI::App& app, int& exit_code) {
  snug::cli::add_fit(app, exit_code);
  snug::cli::add_plan(app, exit_code);
  snug::cli::add_measure(app, exit_code);
  snug::cli::add_imatrix(app, exit_code);
  snug::cli::add_quantize(app, exit_code);
  snug::cli::add_convert(app, exit_code);
  snug::cli::add_eval(app, exit_code);
  snug::cli::add_run(app, exit_code);
  snug::cli::add_bench(app, exit_code);
  snug::cli::add_report(app, exit_code);
  snug::cli::add_inspect(app, exit_code);
  snug::cli::add_audit(app, exit_code);
  snug::cli::add_tokenize(app, exit_code);
  snug::cli::add_status(app, exit_code);
  snug::cli::add_measurements(app, exit_code);
  snug::cli::add_state(app, exit_code);
  snug::cli::add_export(app, exit_code);
  snug::cli::add_codec(app, exit_code);
  snug::cli::add_help(app, exit_code);
  snug::cli::add_version(app, exit_code);
  snug::cli::add_completion(app, exit_code);
  snug::cli::add_man(app, exit_code);
  group_commands(app);
}

/// Help that was asked for, or what is wrong with the command line.
int answer(const CLI::App& app, const CLI::ParseError& error) {
  if (error.get_exit_code() != 0) return snug::cli::report_error(snug::cli::usage_error(app, error));
  app.exit(error);
  if (!std::cout.flush()) throw snug::io_error("write to standard output", "stdout");
  return 0;
}

int run(int argc, char** argv) {
  int exit_code = 0;
  if (std::any_of(argv + 1, argv + argc, [](std::string_view word) { return word == "--json"; }))
    snug::cli::report_errors_as_json();
  snug::cli::take_config_file();
  CLI::App app{kAbout, "snug"};
  app.footer(kFooter);
  app.set_help_flag("-h,--help", "show this help");
  app.set_version_flag("--version", "snug " SNUG_VERSION)->description("show the version");
  app.require_subcommand(1);
  app.formatter(std::make_shared<snug::cli::Help>());
  app.fallthrough(false);
  add_commands(app, exit_code);
  if (argc < 2) {  // a person who looks around, or a script that lost its arguments
    snug::cli::print_out(app.help());
    return static_cast<int>(snug::Fault::usage);
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return answer(app, error);
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
