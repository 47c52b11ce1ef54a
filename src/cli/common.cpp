#include "cli/common.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <filesystem>
#include <new>
#include <optional>
#include <stdexcept>
#include <string_view>

#include "base/events.hpp"
#include "base/files/read_file.hpp"
#include "base/memory.hpp"
#include "base/parallel.hpp"
#include "base/printable.hpp"
#include "base/progress.hpp"
#include "base/str.hpp"
#include "base/units.hpp"
#include "cli/options/groups.hpp"
#include "cli/report_error.hpp"
#include "cli/terminal/terminal_events.hpp"
#include "cli/terminal/terminal_width.hpp"
#include "cli/text/wrap.hpp"
#include "fit/progress/job_progress.hpp"
#include "fit/progress/kept_jobs.hpp"
#include "snug/error.hpp"

namespace snug::cli {

namespace {

constexpr int kMostThreads = 4096, kNoNumber = -1;

int threads_of_environment() {
  const char* value = std::getenv("SNUG_THREADS");
  if (!value || !*value) return 0;
  int number = 0;
  const char* const last = value + std::strlen(value);
  const auto [end, bad] = std::from_chars(value, last, number);
  return bad == std::errc{} && end == last && number >= 0 && number <= kMostThreads ? number : kNoNumber;
}

/// Nothing where it says neither.
std::optional<bool> yes_or_no(std::string_view said) {
  for (const std::string_view yes : {"true", "yes", "on", "1"})
    if (said == yes) return true;
  for (const std::string_view no : {"false", "no", "off", "0", ""})
    if (said == no) return false;
  return std::nullopt;
}

std::string quiet_of_environment() {
  const char* value = std::getenv("SNUG_QUIET");
  return value ? value : "";
}

void check_environment(int threads) {
  if (threads == kNoNumber)
    throw Error{str("'", printable(std::getenv("SNUG_THREADS")), "' is no number of threads"),
                "SNUG_THREADS, or `threads` in the settings", str("a whole number, at most ", kMostThreads), Fault::usage};
  if (!yes_or_no(quiet_of_environment()))
    throw Error{str("'", printable(quiet_of_environment()), "' is neither true nor false"),
                "SNUG_QUIET, or `quiet` in the settings", "write true or false", Fault::usage};
}

}  // namespace

void CommonArgs::add_to(CLI::App& command) {
  threads = threads_of_environment();
  quiet = yes_or_no(quiet_of_environment()).value_or(false);
  under(command, kHow).add_option("--threads", threads, "threads to use; 0 is all cores")
      ->check(CLI::Range(0, kMostThreads))
      ->capture_default_str();
  under(command, kSay).add_flag("-q,--quiet", quiet, "no progress and no notices");
  command.add_flag("--json", json, "one JSON document on stdout, also of an error; everything else on stderr");
}

void CommonArgs::apply() const {
  check_environment(threads);
  set_threads(threads);
  terminal_events().set_quiet(quiet);
  install_signal_handlers();
}

void add_cache_type(CLI::App& command, std::string& name) {
  command
      .add_option("--cache-type", name,
                  "keys and values are kept in f32, f16 or q8_0 (half of f16; head sizes in 32s at best)")
      ->check(CLI::IsMember({"f32", "f16", "q8_0"}));
}

FormatId cache_format_of(const std::string& name, FormatId usual) {
  return name.empty() ? usual : find_format(name)->id;
}

void add_no_repack(CLI::App& command, bool& off) {
  command.add_flag("--no-repack", off,
                   "multiply weights as they lie in the file; else, where memory allows, they are first\n"
                   "copied in an order that makes tokens come faster");
}

bool prepare_weights(infer::Model& model, bool repack, int64_t other, const std::string& when) {
  constexpr int64_t kLong = int64_t{1} << 30;  // takes a second, or as long as the disk takes
  const int64_t memory = memory_for(MemoryUse::all),
                room = std::max<int64_t>(0, memory_for(MemoryUse::repacked) - other),
                bytes = repack ? model.repacked_bytes() : 0, file = model.source().bytes();
  if (bytes == 0 || bytes > room) {
    tell_if_larger_than_memory(file, when);
    if (bytes > 0 && file <= memory)
      log_line(
          str("weights stay as they lie in the file: in the order that makes tokens come faster they would "
              "take ",
              show_size(bytes), ", and beside the context ", show_size(room),
              " are free (--no-repack; a shorter --ctx leaves more)"));
    return false;
  }
  std::optional<Progress> progress;
  if (bytes >= kLong) progress.emplace("repacking", bytes, Progress::Unit::bytes);
  try {
    model.repack([&](int64_t done) {
      if (progress) progress->advance(done);
    });
    return true;
  } catch (const std::bad_alloc&) {
    return false;  // the file's own bytes serve as well, only slower
  }
}

int guarded(const std::function<int()>& work, Keeps keeps) {
  const EventScope scope{terminal_events()};
  try {
    return work();
  } catch (const Error& error) {
    const bool empty_handed = error.fault() == Fault::interrupted && keeps == Keeps::nothing;
    return report_error(empty_handed ? Error{"interrupted; nothing was written", "", "", Fault::interrupted} : error);
  } catch (const std::bad_alloc&) {
    return report_error(Error{"out of memory", "", "--threads 1, or a machine with more memory"});
  } catch (const std::filesystem::filesystem_error& error) {
    errno = error.code().value();
    return report_error(io_error("use the file or folder", error.path1().string()));
  } catch (const std::runtime_error& error) {  // as TBB says that it got no thread
    const bool thread = std::string_view{error.what()}.find("pthread_create") != std::string_view::npos;
    return report_error(Error{
        error.what(), "", thread ? "--threads 1, or raise the limit of threads or memory (ulimit -u, ulimit -v)" : ""});
  } catch (const std::exception& error) {
    return report_error(Error{error.what()});
  }
}

namespace {

int run_as_job(const JobNames& names, const std::function<int()>& work) {
  JobStatus status = own_status();
  status.command = names.command, status.model = names.model, status.output = names.output;
  const auto place = job_place(status);
  if (!place) return work();
  forget_old_jobs();
  JobProgress job{terminal_events(), *place, status};
  const EventScope scope{job};
  try {
    const int exit_code = work();
    job.finish();
    return exit_code;
  } catch (const Error& error) {
    job.stop(error.problem());
    throw;
  }
}

}  // namespace

int guarded_job(const JobNames& names, const std::function<int()>& work, Keeps keeps) {
  return guarded([&] { return run_as_job(names, work); }, keeps);
}

std::string text_named(const std::string& file) { return read_text(file == "-" ? "/dev/stdin" : file); }

/// A pipe gets the bytes; a terminal would obey what is in names and texts out of files.
void print_out(const std::string& given) {
  const std::string text = isatty(STDOUT_FILENO) == 1 ? terminal_text(given) : given;
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size() &&
                       (text.ends_with('\n') || std::fputc('\n', stdout) != EOF) && std::fflush(stdout) == 0;
  if (!written) throw io_error("write to standard output", "stdout", "send it to a file or program that takes it; files named are written");
}

void print_folded(const std::string& text) {
  print_out(folded(text, terminal_columns(STDOUT_FILENO), 10));
}

}  // namespace snug::cli
