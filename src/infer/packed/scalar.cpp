#include "infer/packed/lanes_scalar.hpp"

#include "infer/packed/all.hpp"

namespace snug::infer {

constinit const PackedKernels kPackedScalar = packed_kernels_for<ScalarLanes>("scalar");

}  // namespace snug::infer
