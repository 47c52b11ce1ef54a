#pragma once

namespace snug {

/// Ctrl-C (SIGINT) and SIGTERM set a flag; long loops call check_interrupt() between units of work.
/// A second Ctrl-C ends the process at once.
void install_interrupt_handler();
bool interrupted() noexcept;

/// Throws Error of Fault::interrupted once the flag is set.
void check_interrupt();

}  // namespace snug
