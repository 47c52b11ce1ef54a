#pragma once

namespace snug {

/// Ctrl-C (SIGINT), SIGTERM and SIGHUP (a terminal that was closed; not under nohup) set a flag; long loops
/// call check_interrupt() between units of work. A second one ends the process at once.
void install_interrupt_handler();
bool interrupted() noexcept;

/// Makes a pipe that nobody reads any more (SIGPIPE) and a limit on file sizes (SIGXFSZ) failures to write,
/// like a full disk, instead of the end of the process. install_interrupt_handler() does so, too.
void report_failed_writes();

/// Throws Error of Fault::interrupted once the flag is set.
void check_interrupt();

}  // namespace snug
