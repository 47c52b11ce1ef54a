#include "cli/common.hpp"

#include <algorithm>
#include <cstdio>
#include <exception>
#include <new>
#include <optional>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "base/events.hpp"
#include "base/memory.hpp"
#include "base/parallel.hpp"
#include "base/progress.hpp"
#include "base/str.hpp"
#include "base/units.hpp"
#include "base/without_controls.hpp"
#include "cli/terminal_events.hpp"
#include "snug/error.hpp"

namespace snug::cli {

void CommonArgs::add_to(CLI::App& command) {
  command.add_option("--threads", threads, "threads to use; 0 is all cores")
      ->check(CLI::Range(0, 4096))
      ->capture_default_str();
  command.add_flag("-q,--quiet", quiet, "no progress and no notices");
  command.add_flag("--json", json, "one JSON document on stdout, everything else on stderr");
}

void CommonArgs::apply() const {
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

namespace {

/// The library's advice knows no command lines: what a person types for it.
constexpr std::pair<std::string_view, std::string_view> kSpellings[] = {
    {"ask for it to be replaced", "replace it with --force"},
    {"a shorter context", "a shorter context (--ctx)"},
    {"a longer context", "a longer context (--ctx)"},
    {"say how many tokens the context is to have", "say how many tokens the context is to have (--ctx)"},
    {"leave wide inputs out", "leave wide inputs out (--full-width)"},
    {"allow requantizing", "add --allow-requantize"},
    {"raise the bits per weight", "raise --bpw"},
    {"a size, e.g. 11GB, or bits per weight, e.g. 4.25", "--size, e.g. 11GB, or --bpw, e.g. 4.25"},
    {"name another runtime", "name another --runtime"},
    {"do not ask for a strict fit", "go without --strict"},
};

std::string with_options(std::string text) {
  for (const auto& [advice, spelling] : kSpellings)
    if (const size_t at = text.find(advice); at != std::string::npos) text.replace(at, advice.size(), spelling);
  return text;
}

}  // namespace

int guarded(const std::function<int()>& work, Keeps keeps) {
  const EventScope scope{terminal_events()};
  try {
    return work();
  } catch (const Error& error) {
    if (error.fault() == Fault::interrupted && keeps == Keeps::nothing)
      std::fprintf(stderr, "snug: interrupted; nothing was written\n");
    else
      std::fprintf(stderr, "snug: %s\n", without_controls(with_options(error.what())).c_str());
    return static_cast<int>(error.fault());
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "snug: out of memory\n  try:   --threads 1, or a machine with more memory\n");
  } catch (const std::runtime_error& error) {  // as TBB says that it got no thread
    const bool thread = std::string_view{error.what()}.find("pthread_create") != std::string_view::npos;
    std::fprintf(
        stderr, "snug: %s%s\n", without_controls(error.what()).c_str(),
        thread ? "\n  try:   --threads 1, or raise the limit of threads or memory (ulimit -u, ulimit -v)"
               : "");
  } catch (const std::exception& error) {
    std::fprintf(stderr, "snug: %s\n", without_controls(error.what()).c_str());
  }
  return static_cast<int>(Fault::bad_input);
}

void print_out(const std::string& text) {
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size() &&
                       (text.ends_with('\n') || std::fputc('\n', stdout) != EOF) && std::fflush(stdout) == 0;
  if (!written) throw io_error("write to standard output", "stdout", "send it to a file or program that takes it; files named are written");
}

}  // namespace snug::cli
