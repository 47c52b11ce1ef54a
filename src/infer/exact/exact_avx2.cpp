// Compiled with -mavx2 and without -mfma: the bits are those of exact_scalar.cpp.
#include "infer/exact/exact_accumulate.hpp"

namespace snug::infer {

const ExactKernels kExactAvx2{"avx2", panel, dot, add_scaled, accumulate};

}  // namespace snug::infer
