#include "infer/packed/lanes_avx512.hpp"

#include "infer/packed/all.hpp"

namespace snug::infer {

constinit const PackedKernels kPackedAvx512 = packed_kernels_for<Avx512Lanes>("avx512");

}  // namespace snug::infer
