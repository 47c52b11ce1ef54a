#include "cli/text/wrap.hpp"

#include <algorithm>
#include <vector>

#include "base/str.hpp"

namespace snug::cli {
namespace {

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  while (true) {
    const size_t begin = line.find_first_not_of(' ');
    if (begin == std::string_view::npos) return words;
    const size_t end = std::min(line.find(' ', begin), line.size());
    words.push_back(line.substr(begin, end - begin));
    line.remove_prefix(end);
  }
}

/// Words of a shell's command: spaces within quotes part none.
std::vector<std::string_view> arguments_of(std::string_view command) {
  std::vector<std::string_view> words;
  size_t begin = 0;
  char quote = 0;
  for (size_t i = 0; i <= command.size(); ++i) {
    const bool ends = i == command.size() || (command[i] == ' ' && quote == 0);
    if (ends && i > begin) words.push_back(command.substr(begin, i - begin));
    if (ends) {
      begin = i + 1;
    } else if (command[i] == '\'' || command[i] == '"') {
      quote = quote == command[i] ? 0 : quote ? quote : command[i];
    }
  }
  return words;
}

/// An option and its value stay together.
std::vector<std::string_view> with_values(const std::vector<std::string_view>& words) {
  std::vector<std::string_view> joined;
  for (const std::string_view word : words)
    if (!joined.empty() && joined.back().starts_with('-') && !word.starts_with('-') &&
        joined.back().find(' ') == std::string_view::npos)
      joined.back() = {joined.back().data(),
                       static_cast<size_t>(word.data() + word.size() - joined.back().data())};
    else
      joined.push_back(word);
  return joined;
}

/// Words on lines; `end` stands at the end of each that goes on.
std::string filled(const std::vector<std::string_view>& words, size_t width, size_t indent, size_t start,
                   std::string_view end) {
  std::string text;
  size_t column = start;
  bool fresh = true;
  for (const std::string_view word : words) {
    const size_t length = characters(word);
    if (!fresh && column + 1 + length + end.size() > width) {
      text.append(end).append("\n").append(indent, ' ');
      column = indent;
      fresh = true;
    }
    if (!fresh) text += ' ', ++column;
    text += word;
    column += length;
    fresh = false;
  }
  return text;
}

}  // namespace

size_t characters(std::string_view text) {
  return static_cast<size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

std::string wrapped(std::string_view text, size_t width, size_t indent, size_t start) {
  std::string lines;
  while (true) {
    const size_t end = text.find('\n');
    lines += filled(words_of(text.substr(0, end)), width, indent, start, "");
    if (end == std::string_view::npos) return lines;
    text.remove_prefix(end + 1);
    lines.append("\n").append(text.empty() ? 0 : indent, ' ');
    start = indent;
  }
}

std::string folded(std::string_view text, size_t width, size_t indent) {
  std::string lines, start;
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    for (start.clear(); width > indent && start.size() + characters(line) > width; start.assign(indent, ' ')) {
      const size_t space = line.rfind(' ', width - start.size());
      if (space == std::string_view::npos || line.find_first_not_of(' ') > space) break;
      lines += str(start, line.substr(0, space), "\n");
      line.remove_prefix(space + 1);
    }
    lines += str(start, line, "\n");
  }
  return lines;
}

std::string wrapped_command(std::string_view command, size_t width, size_t indent, size_t start) {
  return filled(with_values(arguments_of(command)), width, indent, start, " \\");
}

}  // namespace snug::cli
