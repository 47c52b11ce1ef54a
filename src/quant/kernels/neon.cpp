#include "quant/kernels/simd_neon.hpp"

#include "quant/kernels/all.hpp"
#include "quant/kernels/isa.hpp"

namespace snug {

constinit const Kernels kNeon = kernels_for<Neon, kAllCodecs<Neon>>("neon");

}  // namespace snug
