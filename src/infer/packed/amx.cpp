#include "infer/packed/lanes_avx512.hpp"
#include "infer/packed/product_amx.hpp"

#include "infer/packed/all.hpp"

namespace snug::infer {
namespace {

/// As Avx512Lanes, with products of whole matrices on tiles.
struct AmxLanes : Avx512Lanes {
  template <class Unpack>
  static constexpr auto product_of_codes = product_in_tiles<AmxLanes, Unpack>;
  static constexpr bool kHasTiles = true;

  /// By five bits, of which the fifth does not matter; machines with tiles have VBMI.
  static b raised_level(const uint8_t* p) {
    return _mm256_maskz_permutexvar_epi8(~0u, both_nibbles(p), load_b(kIq4Raised.at));
  }
};

constexpr PackedKernels make() {
  PackedKernels kernels = packed_kernels_for<AmxLanes>("amx");
  kernels.integer_peak = tile_peak;
  return kernels;
}

}  // namespace

constinit const PackedKernels kPackedAmx = make();

}  // namespace snug::infer
