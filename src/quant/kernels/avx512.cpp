#include "quant/kernels/simd_avx2.hpp"

#include "quant/kernels/all.hpp"
#include "quant/kernels/decode_avx512.hpp"
#include "quant/kernels/isa.hpp"

namespace snug {
namespace {

/// The kernels of AVX2, compiled for 32 registers and three-operand logic, and a few wider ones.
constexpr Kernels make() {
  Kernels k = kernels_for<Avx2>("avx512");
  k.q8_0.decode = decode_q8_0_avx512;
  k.q4_K.decode = decode_q4_K_avx512;
  k.q6_K.decode = decode_q6_K_avx512;
  return k;
}

}  // namespace

constinit const Kernels kAvx512 = make();

}  // namespace snug
