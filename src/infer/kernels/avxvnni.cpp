#include "infer/kernels/lanes_avxvnni.hpp"

#include "infer/kernels/all.hpp"
#include "quant/kernels/dispatch.hpp"

namespace snug::infer {

constinit const MatmulKernels kPackedAvxVnni = packed_kernels_for<AvxVnniLanes>(kAvxVnniName.data());

}  // namespace snug::infer
