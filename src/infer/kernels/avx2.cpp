#include "infer/kernels/lanes_avx2.hpp"

#include "infer/kernels/all.hpp"

namespace snug::infer {

constinit const MatmulKernels kPackedAvx2 = packed_kernels_for<Avx2Lanes>("avx2");

}  // namespace snug::infer
