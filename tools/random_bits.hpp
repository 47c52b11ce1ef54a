#pragma once

#include <cstdint>

namespace snug::tools {

/// SplitMix64: a sequence of random bits out of consecutive numbers, the same on every machine.
inline uint64_t mix_bits(uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

}  // namespace snug::tools
