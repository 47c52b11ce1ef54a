#include "cli/terminal/terminal_width.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <string_view>

namespace snug::cli {

size_t terminal_columns(int descriptor) {
  constexpr size_t kUsual = 80;  // of a terminal that does not know
  winsize size{};
  if (isatty(descriptor) != 1) return 0;
  return ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col : kUsual;
}

size_t text_columns(int descriptor) {
  constexpr size_t kUsual = 80, kLeast = 40;
  if (const size_t columns = terminal_columns(descriptor)) return columns;
  const char* named = std::getenv("COLUMNS");
  const std::string_view text = named ? named : "";
  size_t columns = 0;
  std::from_chars(text.data(), text.data() + text.size(), columns);
  return columns >= kLeast ? columns : kUsual;
}

}  // namespace snug::cli
