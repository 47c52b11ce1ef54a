#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "snug/format.hpp"

namespace snug {

/// general.file_type of llama-quantize's mixes that have rules or a label of their own.
enum FileType : uint32_t {
  kQ4_0 = 2,
  kQ8_0 = 7,
  kQ5_0 = 8,
  kQ2_K = 10,
  kQ3_K_S = 11,
  kQ3_K_M = 12,
  kQ3_K_L = 13,
  kQ4_K_S = 14,
  kQ4_K_M = 15,
  kQ5_K_M = 17,
  kIQ2_XXS = 19,
  kIQ2_XS = 20,
  kQ2_K_S = 21,
  kIQ3_XS = 22,
  kIQ3_XXS = 23,
  kIQ1_S = 24,
  kIQ4_NL = 25,
  kIQ3_S = 26,
  kIQ3_M = 27,
  kIQ2_S = 28,
  kIQ2_M = 29,
  kIQ4_XS = 30,
  kIQ1_M = 31,
  kTQ1_0 = 36,
  kTQ2_0 = 37,
  kMXFP4_MOE = 38,
  kQ2_0 = 41,
};

/// File types by number, as sets: bit n is file type n.
using FileTypes = uint64_t;
template <class... Numbers>
constexpr FileTypes file_types(Numbers... numbers) {
  return ((FileTypes{1} << numbers) | ...);
}

/// The mixes below three bits, which share rules.
constexpr FileTypes kVeryLow = file_types(kIQ1_S, kIQ1_M, kIQ2_XXS, kIQ2_XS, kIQ2_S, kIQ2_M);

/// The parts of a model that have rules.
enum class Part : uint8_t {
  other,
  output,
  token_embd,
  attn_v,  // attn_qkv and attn_kv_b too
  attn_k,
  attn_q,
  attn_output,
  ffn_down,
  ffn_gate,
  ffn_up
};
constexpr size_t kParts = static_cast<size_t>(Part::ffn_up) + 1;

/// `tied`: the model has no output.weight, so its embeddings are the output, those of each layer included.
Part part_of(std::string_view name, bool tied);

/// What the rules look at: the tensor's place among `layers` of its part, and the model.
struct PartPlace {
  int64_t index = 0, layers = 0;
  bool gqa4 = false, experts4 = false, experts8 = false, imatrix = false, falcon = false;
};

/// The format that a rule of the mix gives; nothing where the mix has no rule, and its base format is taken.
std::optional<FormatId> format_by_rule(uint32_t file_type, Part part, const PartPlace& place);

}  // namespace snug
