#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>

#include "tools/arch_models/draft.hpp"

namespace snug::tools {

/// A kind of small random model: an architecture, and one of the forms that exclude each other.
struct ArchModel {
  std::string_view name;  // "gemma4_per_layer"
  std::string_view arch;  // "gemma4"
  void (*draft)(Draft&);
};

std::span<const ArchModel> arch_models();

/// F32 weights, a vocabulary of 64 tokens without a tokenizer, a context of 256. Seed 0: every optional
/// feature.
void write_arch_model(const ArchModel& model, uint64_t seed, const std::filesystem::path& path);

}  // namespace snug::tools
