#pragma once

#include <span>

#include "quant/kernels/kernels.hpp"

namespace snug {

/// The sets of this build that this machine runs, best first. Never empty: "scalar" is the last.
std::span<const Kernels* const> runnable_kernels();

}  // namespace snug
