#include "quant/kernels/simd_avx2.hpp"

#include "quant/kernels/all.hpp"
#include "quant/kernels/decode_avx512.hpp"
#include "quant/kernels/isa.hpp"
#include "quant/kernels/mlx/decode_avx512.hpp"

namespace snug {
namespace {

/// The codecs of AVX2, compiled for 32 registers and three-operand logic, and a few wider ones.
constexpr auto kCodecs = [] {
  auto codecs = all_codecs<Avx2>();
  const auto replace = [&](const auto& wide) {
    for (const auto& [id, decode] : wide) std::ranges::find(codecs, id, &CodecRow::id)->codec.decode = decode;
  };
  replace(kWideDecoders);
  replace(kWideAffine);
  replace(kWideMlx);
  return codecs;
}();

}  // namespace

constinit const Kernels kAvx512 = kernels_for<Avx2, kCodecs>("avx512");

}  // namespace snug
