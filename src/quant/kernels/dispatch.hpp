#pragma once

#include <span>
#include <string_view>

#include "quant/kernels/kernels.hpp"

namespace snug {

/// The sets of this build that this machine runs, best first. Never empty: "scalar" is the last.
std::span<const Kernels* const> runnable_kernels();

#if defined(__x86_64__)
/// AVX-VNNI, which AVX2's packed kernels come with or without.
bool has_avx_vnni();
inline constexpr std::string_view kAvxVnniName = "avx2+vnni";
#endif

}  // namespace snug
