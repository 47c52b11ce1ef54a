#include "cli/report_error.hpp"

#include <unistd.h>

#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "base/json_reader.hpp"
#include "base/printable.hpp"
#include "base/str.hpp"
#include "cli/terminal/terminal_width.hpp"
#include "cli/text/wrap.hpp"

namespace snug::cli {
namespace {

/// The library's advice knows no command lines: what a person types for it.
constexpr std::pair<std::string_view, std::string_view> kSpellings[] = {
    {"ask for it to be replaced", "replace it with --force"},
    {"a shorter context", "a shorter context (--ctx)"},
    {"a longer context", "a longer context (--ctx)"},
    {"say how many tokens the context is to have", "say how many tokens the context is to have (--ctx)"},
    {"leave wide inputs out", "leave wide inputs out (--hessian-width)"},
    {"allow requantizing", "add --allow-requantize"},
    {"raise the bits per weight", "raise --bpw"},
    {"a size, e.g. 11GB, or bits per weight, e.g. 4.25", "--size, e.g. 11GB, or --bpw, e.g. 4.25"},
    {"name another runtime", "name another --runtime"},
    {"do not ask for a strict fit", "go without --strict"},
    {"with second moments", "with second moments (`snug imatrix --collect-hessians`)"},
    {"save the logits of the original again", "`snug eval --save-logits` makes one"},
    {"name it as a preset: ", "give --preset "},
    {"leave the projector out", "leave --mmproj out"},
    {"or allow more memory", "or allow more --memory"},
    {"name another store", "name another store with --state"},
    {"write larger files", "write larger files (--split-size)"},
    {"single tensors can be pinned", "--pin keeps single tensors"},
    {"convert to bf16, or keep the types of the source",
     "convert to bf16 (--type bf16), or keep the types of the source (--type source)"},
    {"name a built-in template", "give --chat-template the name of a built-in one"},
};

std::string with_options(std::string text) {
  for (const auto& [advice, spelling] : kSpellings)
    if (const size_t at = text.find(advice); at != std::string::npos)
      text.replace(at, advice.size(), spelling);
  return text;
}

/// What helps, where the library knows nothing better.
std::string remedy_of(const Error& error) {
  if (!error.remedy().empty()) return error.remedy();
  switch (error.fault()) {
    case Fault::bad_input: return "the file is damaged, or was changed by hand: get it or make it again";
    case Fault::usage: return "see the command's --help";
    case Fault::unreachable_budget: return "raise the budget";
    case Fault::io: return "see whether the file, its folder and its disk are as they should be";
    case Fault::interrupted: return {};
  }
  return {};
}

bool as_json = false;

constexpr std::string_view kFaults[] = {
    "", "bad input", "usage", "unreachable budget", "interrupted", "input or output"};

/// Nobody is helped by an error about an error: where standard output cannot take it, standard error has it.
void print_json(const Error& error) {
  const auto fault = static_cast<size_t>(error.fault());
  const nlohmann::ordered_json document{{"error",
                                         {{"problem", with_options(error.problem())},
                                          {"where", with_options(error.where())},
                                          {"try", with_options(remedy_of(error))},
                                          {"fault", fault < std::size(kFaults) ? kFaults[fault] : ""},
                                          {"exit_code", fault}}}};
  const std::string text = json_text(document, 2);
  std::fprintf(stdout, "%s\n", isatty(STDOUT_FILENO) == 1 ? terminal_text(text).c_str() : text.c_str());
  std::fflush(stdout);
}

/// A line each; folded where a terminal would cut through words.
std::string line(const std::string& start, const std::string& text, size_t columns) {
  if (text.empty()) return {};
  const std::string plain = terminal_text(with_options(text));
  return str(start, columns ? wrapped(plain, columns - 1, start.size(), start.size()) : plain, "\n");
}

}  // namespace

void report_errors_as_json() {
  as_json = true;
}

int report_error(const Error& error) {
  const size_t columns = terminal_columns(STDERR_FILENO);
  std::fprintf(stderr, "%s%s%s", line("snug: ", error.problem(), columns).c_str(),
               line("  where: ", error.where(), columns).c_str(),
               line("  try:   ", remedy_of(error), columns).c_str());
  if (as_json) print_json(error);
  return static_cast<int>(error.fault());
}

}  // namespace snug::cli
