#pragma once

#include <cstdint>
#include <span>

#include "snug/format.hpp"

namespace snug {

/// general.file_type of a mix of our own: of llama.cpp's mixes whose base format is among the `chosen` the one nearest
/// in bits per weight; without such a one, file_type_for_bpw(). Only a label.
uint32_t nearest_file_type(double bits_per_weight, std::span<const FormatId> chosen);

/// The lowest file type of at least that many bits per weight, whatever formats there are.
uint32_t file_type_for_bpw(double bits_per_weight);

}  // namespace snug
