#include "quant/kernels/simd_avx2.hpp"

#include "quant/kernels/all.hpp"
#include "quant/kernels/isa.hpp"

namespace snug {

constinit const Kernels kAvx2 = kernels_for<Avx2, kAllCodecs<Avx2>>("avx2");

}  // namespace snug
