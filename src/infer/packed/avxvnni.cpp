#include "infer/packed/lanes_avxvnni.hpp"

#include "infer/packed/all.hpp"

namespace snug::infer {

constinit const PackedKernels kPackedAvxVnni = packed_kernels_for<AvxVnniLanes>("avx2+vnni");

}  // namespace snug::infer
