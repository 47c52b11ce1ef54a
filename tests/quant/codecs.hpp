#pragma once

#include <algorithm>

#include "quant/kernels/kernels.hpp"

namespace snug::test {

/// What one instruction set does with a format.
inline const Codec& codec_of(const Kernels& isa, FormatId format) {
  return std::ranges::find(isa.codecs, format, &CodecRow::id)->codec;
}

}  // namespace snug::test
