#include "infer/exact/exact_kernels.hpp"

#include <cstdlib>

namespace snug::infer {
namespace {

const ExactKernels& choose() {
  const char* forced = std::getenv("SNUG_ISA");
  if (forced && std::string_view{forced} == "scalar") return kExactScalar;
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) return kExactAvx2;
#endif
  return kExactScalar;
}

}  // namespace

const ExactKernels& exact_kernels() {
  static const ExactKernels& chosen = choose();
  return chosen;
}

}  // namespace snug::infer
