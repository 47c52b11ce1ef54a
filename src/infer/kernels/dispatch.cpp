#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <algorithm>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "infer/kernels/kernels.hpp"
#include "quant/kernels/dispatch.hpp"

namespace snug::infer {
namespace {

#if defined(__x86_64__)
bool has_vnni() {
  return __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512bw");
}

/// Linux keeps tiles switched off until a process asks for them.
bool has_amx() {
#if defined(__linux__)
  constexpr long kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  constexpr unsigned kTile = 1u << 24, kInt8 = 1u << 25;
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & kTile) == 0 || (d & kInt8) == 0) return false;
  return has_vnni() && __builtin_cpu_supports("avx512vbmi") &&
         syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}
#endif

/// Those for a set, best first. The portable kernels stand in for a set that has none of its own.
std::vector<const MatmulKernels*> matching(const Kernels& kernels) {
  std::vector<const MatmulKernels*> found;
#if defined(__x86_64__)
  const std::string_view isa{kernels.isa};
  if (isa == "avx512" && has_amx()) found.push_back(&kPackedAmx);
  if (isa == "avx512" && has_vnni()) found.push_back(&kPackedAvx512);
  if (isa == "avx2" && has_avx_vnni()) found.push_back(&kPackedAvxVnni);
  if (isa == "avx2" || (isa == "avx512" && found.empty())) found.push_back(&kPackedAvx2);
#endif
  if (found.empty()) found.push_back(&kPackedScalar);
  (void)kernels;
  return found;
}

std::vector<const MatmulKernels*> find_runnable() {
  std::vector<const MatmulKernels*> found;
  for (const Kernels* k : runnable_kernels())
    for (const MatmulKernels* packed : matching(*k))
      if (std::ranges::find(found, packed) == found.end()) found.push_back(packed);
  return found;
}

/// SNUG_ISA=avx2 means that and no more.
const MatmulKernels& choose() {
  const char* forced = std::getenv("SNUG_ISA");
  const std::vector<const MatmulKernels*> found = matching(kernels());
  if (!forced || !*forced) return *found.front();
  const auto named =
      std::ranges::find(found, std::string_view{forced}, [](auto* k) { return std::string_view{k->isa}; });
  return named == found.end() ? *found.back() : **named;
}

}  // namespace

std::span<const MatmulKernels* const> runnable_packed_kernels() {
  static const std::vector<const MatmulKernels*> found = find_runnable();
  return found;
}

const MatmulKernels& packed_kernels() {
  static const MatmulKernels& chosen = choose();
  return chosen;
}

}  // namespace snug::infer
