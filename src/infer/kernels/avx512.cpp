#include "infer/kernels/lanes_avx512.hpp"

#include "infer/kernels/all.hpp"

namespace snug::infer {

constinit const MatmulKernels kPackedAvx512 = packed_kernels_for<Avx512Lanes>("avx512");

}  // namespace snug::infer
