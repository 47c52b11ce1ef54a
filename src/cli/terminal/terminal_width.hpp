#pragma once

#include <cstddef>

namespace snug::cli {

/// Columns of the terminal that a file descriptor is; 0 where it is none, such as a pipe.
size_t terminal_columns(int descriptor);

/// Columns that text written to it may take: the terminal's, else those that COLUMNS names, else 80.
size_t text_columns(int descriptor);

}  // namespace snug::cli
