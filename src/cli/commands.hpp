#pragma once

#include <CLI/CLI.hpp>

namespace snug::cli {

/// One file each, cmd_<name>.cpp. Parsing runs the command; its exit code goes to `exit_code`.
void add_fit(CLI::App& app, int& exit_code);
void add_measure(CLI::App& app, int& exit_code);
void add_plan(CLI::App& app, int& exit_code);
void add_convert(CLI::App& app, int& exit_code);
void add_quantize(CLI::App& app, int& exit_code);
void add_export(CLI::App& app, int& exit_code);
void add_eval(CLI::App& app, int& exit_code);
void add_report(CLI::App& app, int& exit_code);
void add_imatrix(CLI::App& app, int& exit_code);
void add_inspect(CLI::App& app, int& exit_code);
void add_audit(CLI::App& app, int& exit_code);
void add_bench(CLI::App& app, int& exit_code);
void add_bench_encode(CLI::App& bench, int& exit_code);  // its subcommand
void add_state(CLI::App& app, int& exit_code);
void add_status(CLI::App& app, int& exit_code);
void add_measurements(CLI::App& app, int& exit_code);
void add_codec(CLI::App& app, int& exit_code);
void add_run(CLI::App& app, int& exit_code);
void add_tokenize(CLI::App& app, int& exit_code);
void add_completion(CLI::App& app, int& exit_code);
void add_man(CLI::App& app, int& exit_code);
void add_help(CLI::App& app, int& exit_code);
void add_version(CLI::App& app, int& exit_code);

}  // namespace snug::cli
