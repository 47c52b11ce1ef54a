#include <algorithm>
#include <string_view>
#include <vector>

#include "infer/packed/kernels.hpp"
#include "quant/kernels/dispatch.hpp"

namespace snug::infer {
namespace {

/// The portable kernels stand in for a set that has none of its own.
const PackedKernels* matching(const Kernels& kernels) {
#if defined(__x86_64__)
  if (std::string_view{kernels.isa} == kPackedAvx2.isa) return &kPackedAvx2;
#endif
  (void)kernels;
  return &kPackedScalar;
}

std::vector<const PackedKernels*> find_runnable() {
  std::vector<const PackedKernels*> found;
  for (const Kernels* k : runnable_kernels())
    if (std::ranges::find(found, matching(*k)) == found.end()) found.push_back(matching(*k));
  return found;
}

}  // namespace

std::span<const PackedKernels* const> runnable_packed_kernels() {
  static const std::vector<const PackedKernels*> found = find_runnable();
  return found;
}

const PackedKernels& packed_kernels() {
  static const PackedKernels& chosen = *matching(kernels());
  return chosen;
}

}  // namespace snug::infer
