#include "quant/kernels/simd_scalar.hpp"

#include "quant/kernels/all.hpp"
#include "quant/kernels/isa.hpp"

namespace snug {

constinit const Kernels kScalar = kernels_for<Scalar, kAllCodecs<Scalar>>("scalar");

}  // namespace snug
