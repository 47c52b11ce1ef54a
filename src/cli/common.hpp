#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <string>

#include "infer/model.hpp"
#include "snug/format.hpp"

namespace snug::cli {

/// Options every command takes: --threads, --quiet, --json.
struct CommonArgs {
  int threads = 0;
  bool quiet = false;
  bool json = false;

  void add_to(CLI::App& command);
  void apply() const;  // before the work
};

/// What is left of a command's work when Ctrl-C ends it.
enum class Keeps { finished_work, nothing };

/// Runs a command's work; an Error becomes its message on stderr and its fault the exit code.
int guarded(const std::function<int()>& work, Keeps keeps = Keeps::finished_work);

/// What a command is about that may run long.
struct JobNames {
  std::string command, model, output;
};

/// guarded(), with its status kept meanwhile for `snug status`.
int guarded_job(const JobNames& names, const std::function<int()>& work, Keeps keeps = Keeps::finished_work);

/// Gives a command its common options, those of `args`, and its work, to be run on them.
template <class Args, class Work>
void run_guarded(CLI::App& command, std::shared_ptr<Args> args, Work work, int& exit_code) {
  args->common.add_to(command);
  command.callback([args, work, &exit_code] {
    exit_code = guarded([&] {
      args->common.apply();
      return work(*args);
    });
  });
}

/// --cache-type, and the format it names; `usual` where it was not given.
void add_cache_type(CLI::App& command, std::string& name);
FormatId cache_format_of(const std::string& name, FormatId usual);

/// --no-repack
void add_no_repack(CLI::App& command, bool& off);
/// Model::repack() where `repack` wants it, unless that and `other` bytes would take most of the memory. Whether it
/// was done; if not, says what that costs, e.g. that the file is read again `when`.
bool prepare_weights(infer::Model& model, bool repack, int64_t other, const std::string& when);

/// The whole of a text that a person names, as read_text() reads it; `-` is standard input.
std::string text_named(const std::string& file);

/// Text or a JSON document on stdout, a newline at the end; on a terminal without what it would obey. Throws Error of
/// Fault::io if stdout cannot take it.
void print_out(const std::string& text);

/// print_out() of text for people: on a terminal, lines that it would cut through are folded.
void print_folded(const std::string& text);

}  // namespace snug::cli
