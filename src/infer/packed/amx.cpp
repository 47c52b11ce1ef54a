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
};

constexpr PackedKernels make() {
  PackedKernels kernels = packed_kernels_for<AmxLanes>("amx");
  kernels.integer_peak = tile_peak;
  return kernels;
}

}  // namespace

constinit const PackedKernels kPackedAmx = make();

}  // namespace snug::infer
