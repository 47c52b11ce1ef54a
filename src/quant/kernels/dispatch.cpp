#include "quant/kernels/dispatch.hpp"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/str.hpp"
#include "quant/kernels/isa.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

std::vector<const Kernels*> ask_the_cpu() {
  std::vector<const Kernels*> found;
#if defined(__x86_64__)
  unsigned a = 0, b = 0, c = 0, d = 0;
  const bool f16c = __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);  // clang 14 has no name for it
  if (f16c && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl"))
      found.push_back(&kAvx512);
    found.push_back(&kAvx2);
  }
#elif defined(__aarch64__)
  found.push_back(&kNeon);
#endif
  found.push_back(&kScalar);
  return found;
}

/// Names for SNUG_ISA, and the kernels each stands for.
std::vector<std::pair<std::string_view, const Kernels*>> names_of_kernels() {
  std::vector<std::pair<std::string_view, const Kernels*>> names;
  for (const Kernels* k : runnable_kernels()) {
#if defined(__x86_64__)
    if (k == &kAvx2 && has_avx_vnni()) names.emplace_back(kAvxVnniName, k);
#endif
    names.emplace_back(k->isa, k);
  }
  return names;
}

const Kernels& choose(const char* wanted) {
  if (!wanted || !*wanted) return *runnable_kernels().front();
  std::string names;
  for (const auto& [name, k] : names_of_kernels()) {
    if (name == wanted) return *k;
    names += str(names.empty() ? "" : ", ", name);
  }
  throw Error{str("no instruction set '", wanted, "' here"), "environment variable SNUG_ISA",
              str("set it to one of: ", names, "; or unset it")};
}

}  // namespace

#if defined(__x86_64__)
bool has_avx_vnni() {
  constexpr unsigned kAvxVnni = 1u << 4;
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & kAvxVnni) != 0;
}
#endif

std::span<const Kernels* const> runnable_kernels() {
  static const std::vector<const Kernels*> found = ask_the_cpu();
  return found;
}

const Kernels& kernels() {
  static const Kernels& chosen = choose(std::getenv("SNUG_ISA"));
  return chosen;
}

}  // namespace snug
