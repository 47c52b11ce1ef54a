#pragma once

#include "quant/kernels/kernels.hpp"

namespace snug {

// One translation unit each; which of them are built is CMake's affair. Constant-initialized.
extern const Kernels kScalar, kAvx2, kAvx512, kNeon;

}  // namespace snug
