#include "infer/packed/lanes_avx2.hpp"

#include "infer/packed/all.hpp"

namespace snug::infer {

constinit const PackedKernels kPackedAvx2 = packed_kernels_for<Avx2Lanes>("avx2");

}  // namespace snug::infer
