#include "cli/options/config_file.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <sstream>
#include <string_view>

#include "base/closest.hpp"
#include "base/files/read_file.hpp"
#include "base/printable.hpp"
#include "base/str.hpp"
#include "snug/error.hpp"

namespace snug::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 4> kKeys{"home", "threads", "memory", "quiet"};

std::string trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r";
  const size_t first = text.find_first_not_of(kBlank);
  if (first == text.npos) return {};
  return std::string{text.substr(first, text.find_last_not_of(kBlank) - first + 1)};
}

std::string variable_of(const std::string& key) {
  std::string name = "SNUG_";
  for (const char c : key) name += static_cast<char>(c - 'a' + 'A');
  return name;
}

/// Where a remark begins: a # at the start or behind a blank, so that paths may have one.
size_t remark_of(const std::string& line) {
  for (size_t i = 0; i < line.size(); ++i)
    if (line[i] == '#' && (i == 0 || line[i - 1] == ' ' || line[i - 1] == '\t')) return i;
  return line.npos;
}

void take_line(const std::string& line, const std::string& where) {
  const std::string said = trimmed(line.substr(0, remark_of(line)));
  if (said.empty()) return;
  const size_t equals = said.find('=');
  const std::string key = trimmed(said.substr(0, equals));
  if (std::ranges::find(kKeys, key) == kKeys.end())
    throw Error{str("'", printable(key), "' is no setting"), where,
                did_you_mean(key, kKeys, "settings are home, threads, memory and quiet"), Fault::usage};
  const std::string value = equals == said.npos ? "" : trimmed(said.substr(equals + 1));
  if (value.empty()) throw Error{str("'", key, "' has no value"), where, str("write ", key, " = ..."), Fault::usage};
  setenv(variable_of(key).c_str(), value.c_str(), 0);
}

std::optional<fs::path> file_named_by(const char* variable, const char* below) {
  const char* value = std::getenv(variable);
  if (!value || !*value) return std::nullopt;
  return *below ? fs::path{value} / below : fs::path{value};
}

}  // namespace

std::optional<fs::path> config_file() {
  for (const auto& [variable, below] :
       {std::pair{"SNUG_CONFIG", ""}, {"XDG_CONFIG_HOME", "snug/config"}, {"HOME", ".config/snug/config"}})
    if (auto file = file_named_by(variable, below)) return file;
  return std::nullopt;
}

void take_config_file() {
  constexpr uintmax_t kMaxBytes = 1 << 20;
  const auto file = config_file();
  std::error_code unknown;
  if (!file || !fs::is_regular_file(*file, unknown)) return;
  if (const uintmax_t bytes = fs::file_size(*file, unknown); !unknown && bytes > kMaxBytes)
    throw Error{"the file of settings is longer than 1 MiB", file->string(), "name another in SNUG_CONFIG", Fault::usage};
  take_config(read_file(*file), file->string());
}

void take_config(const std::string& text, const std::string& where) {
  std::istringstream lines{text};
  int number = 0;
  for (std::string line; std::getline(lines, line);) take_line(line, str(where, ", line ", ++number));
}

}  // namespace snug::cli
