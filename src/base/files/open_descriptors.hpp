#pragma once

#include <cstddef>

namespace snug {

/// Opens /dev/null on standard input, output and error where they are closed, so that no file of ours gets
/// their number and what is written to them: to be called first of all. Writing to such an output still
/// fails.
void open_standard_descriptors();

/// Allows as many open files as the system lets this process have: a split has many.
void allow_many_files();

/// Throws Error of Fault::io where `files` of a split more cannot be open at once.
void check_open_files(size_t files);

}  // namespace snug
