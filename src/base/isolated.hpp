#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace snug {

/// What a piece of work may use that runs on input nobody can vouch for.
struct IsolationLimits {
  int seconds = 10;
  int64_t memory_bytes = int64_t{1} << 30;  // beyond what the process has already
  int64_t result_bytes = int64_t{64} << 20;
};

/// Runs `work` in a process of its own and returns its text: an endless loop, runaway recursion or memory
/// ends that process, not this one. Errors that `work` throws come through. Throws Error naming `what` where
/// a limit is passed or the process crashes; Ctrl-C is an Error.
std::string run_isolated(const std::string& what, const std::function<std::string()>& work,
                         const IsolationLimits& limits = {});

}  // namespace snug
