#pragma once

#include "snug/error.hpp"

namespace snug::cli {

/// From now on an error is also a JSON document on standard output: with --json that is where programs read.
void report_errors_as_json();

/// Says on standard error what went wrong, where, and what to try, in a command line's words. Returns the exit code.
int report_error(const Error& error);

}  // namespace snug::cli
