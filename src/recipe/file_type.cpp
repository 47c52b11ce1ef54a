#include "recipe/file_type.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "recipe/preset_rules.hpp"
#include "recipe/presets.hpp"

namespace snug {
namespace {

struct FileTypeSize {
  double bits_per_weight;
  uint32_t file_type;
};

constexpr FileTypeSize kFileTypeSizes[] = {
    {1.5625, kIQ1_S}, {1.75, kIQ1_M},     {2.0625, kIQ2_XXS}, {2.3125, kIQ2_XS}, {2.5625, kIQ2_S},
    {2.625, kQ2_K},   {3.0625, kIQ3_XXS}, {3.4375, kQ3_K_M},  {4.25, kIQ4_XS},   {4.5, kQ4_K_M},
    {5.5, kQ5_K_M},   {6.5625, 18},       {8.5, kQ8_0},       {16, 32},
};

/// What llama-quantize's mixes come to on Llama 3.1 8B, by llama.cpp's own table; single formats have their own bits.
constexpr FileTypeSize kMixes[] = {
    {2.00, kIQ1_S},  {2.15, kIQ1_M},  {2.38, kIQ2_XXS}, {2.59, kIQ2_XS}, {2.74, kIQ2_S},  {2.93, kIQ2_M},
    {2.97, kQ2_K_S}, {3.16, kQ2_K},   {3.25, kIQ3_XXS}, {3.50, kIQ3_XS}, {3.64, kQ3_K_S}, {3.66, kIQ3_S},
    {3.76, kIQ3_M},  {4.00, kQ3_K_M}, {4.30, kQ3_K_L},  {4.46, kIQ4_XS}, {4.67, kQ4_K_S}, {4.89, kQ4_K_M},
    {5.57, 16},      {5.70, kQ5_K_M},
};

double bits_of(const Preset& preset) {
  const auto mix = std::ranges::find(kMixes, preset.file_type, &FileTypeSize::file_type);
  if (mix != std::end(kMixes)) return mix->bits_per_weight;
  const BlockShape shape = block_shape(preset.base);
  return 8.0 * static_cast<double>(shape.block_bytes) / static_cast<double>(shape.block_weights);
}

}  // namespace

uint32_t nearest_file_type(double bits_per_weight, std::span<const FormatId> chosen) {
  double least = std::numeric_limits<double>::infinity();
  uint32_t nearest = file_type_for_bpw(bits_per_weight);
  for (const Preset& preset : presets()) {
    if (std::ranges::find(chosen, preset.base) == chosen.end()) continue;
    const double off = std::abs(bits_of(preset) - bits_per_weight);
    if (off < least) nearest = preset.file_type;
    least = std::min(least, off);
  }
  return nearest;
}

uint32_t file_type_for_bpw(double bits_per_weight) {
  for (const FileTypeSize& size : kFileTypeSizes)
    if (bits_per_weight <= size.bits_per_weight) return size.file_type;
  return 0;
}

}  // namespace snug
