#include "infer/kernels/lanes_scalar.hpp"

#include "infer/kernels/all.hpp"

namespace snug::infer {

constinit const MatmulKernels kPackedScalar = packed_kernels_for<ScalarLanes>("scalar");

}  // namespace snug::infer
