#include "recipe/preset_rules.hpp"

#include <utility>

namespace snug {
namespace {

using enum FormatId;

constexpr FileTypes kAny = ~FileTypes{0};
constexpr FileTypes kIQ2_SorM = file_types(kIQ2_S, kIQ2_M);
constexpr FileTypes kIQ1 = file_types(kIQ1_S, kIQ1_M);

/// The first whose text the name holds.
constexpr std::pair<std::string_view, Part> kPartNames[] = {
    {"attn_qkv.weight", Part::attn_v}, {"attn_kv_b.weight", Part::attn_v},
    {"attn_v.weight", Part::attn_v},   {"attn_k.weight", Part::attn_k},
    {"attn_q.weight", Part::attn_q},   {"attn_output.weight", Part::attn_output},
    {"ffn_up", Part::ffn_up},          {"ffn_gate", Part::ffn_gate},
    {"ffn_down", Part::ffn_down},
};

bool in_first(int64_t index, int64_t layers, int64_t fraction) {
  return index < layers / fraction;
}
bool more_bits(const PartPlace& p) {
  return in_first(p.index, p.layers, 8) || p.index >= 7 * p.layers / 8 || (p.index - p.layers / 8) % 3 == 2;
}

using Condition = bool (*)(const PartPlace&);
bool always(const PartPlace&) {
  return true;
}
bool gqa4(const PartPlace& p) {
  return p.gqa4;
}
bool gqa4_or_experts4(const PartPlace& p) {
  return p.gqa4 || p.experts4;
}
bool experts8(const PartPlace& p) {
  return p.experts8;
}
bool not_experts8(const PartPlace& p) {
  return !p.experts8;
}
bool no_imatrix(const PartPlace& p) {
  return !p.imatrix;
}
bool first_two(const PartPlace& p) {
  return p.index < 2;
}
bool first_four(const PartPlace& p) {
  return p.index < 4;
}
bool first_16th(const PartPlace& p) {
  return in_first(p.index, p.layers, 16);
}
bool first_8th(const PartPlace& p) {
  return in_first(p.index, p.layers, 8);
}
bool first_8th_imatrix(const PartPlace& p) {
  return p.imatrix && first_8th(p);
}
bool first_8th_no_imatrix(const PartPlace& p) {
  return !p.imatrix && first_8th(p);
}
bool first_8th_or_more_of_8_experts(const PartPlace& p) {
  return first_8th(p) || (p.experts8 && more_bits(p));
}
bool middle(const PartPlace& p) {
  return !first_8th(p) && p.index < 7 * p.layers / 8;
}

/// Whose rule it is.
enum class Of : uint8_t { all, falcon, others };

struct Rule {
  Part part;
  FileTypes when_type;
  Condition when;
  FormatId format;
  Of of = Of::all;
};

/// The mixes of llama-quantize as of August 2026, in its order of precedence: the first rule that holds
/// decides.
constexpr Rule kRules[] = {
    {Part::output, file_types(kMXFP4_MOE), always, q8_0},
    {Part::output, kVeryLow | file_types(kIQ3_XXS), always, q5_K},
    {Part::output, ~file_types(kQ8_0), always, q6_K},

    {Part::token_embd, kIQ1 | file_types(kIQ2_XXS, kIQ2_XS), always, q2_K},
    {Part::token_embd, kIQ2_SorM | file_types(kIQ3_XXS), always, iq3_s},
    {Part::token_embd, file_types(kTQ1_0, kTQ2_0, kQ2_0), always, q4_K},

    {Part::attn_v, kVeryLow, gqa4_or_experts4, q4_K},
    {Part::attn_v, kIQ2_SorM, always, iq3_s},
    {Part::attn_v, kVeryLow, always, q2_K},
    {Part::attn_v, kAny, experts8, q8_0},
    {Part::attn_v, file_types(kQ2_K, kQ2_K_S, kIQ3_XXS, kIQ3_XS, kIQ3_S), gqa4, q4_K},
    {Part::attn_v, file_types(kQ2_K), always, q3_K},
    {Part::attn_v, file_types(kIQ3_XXS), no_imatrix, iq3_s},
    {Part::attn_v, file_types(kIQ3_M), always, q4_K},
    {Part::attn_v, file_types(kQ3_K_M), first_two, q5_K},
    {Part::attn_v, file_types(kQ3_K_M), always, q4_K},
    {Part::attn_v, file_types(kQ3_K_L), always, q5_K},
    {Part::attn_v, file_types(kIQ4_NL, kIQ4_XS), gqa4, q5_K},
    {Part::attn_v, file_types(kQ4_K_M, kQ5_K_M), more_bits, q6_K},
    {Part::attn_v, file_types(kQ4_K_S), first_four, q5_K},

    {Part::attn_k, kVeryLow, experts8, q4_K},
    {Part::attn_k, ~kVeryLow, experts8, q8_0},
    {Part::attn_k, file_types(kIQ3_XS), always, iq3_xxs},
    {Part::attn_k, file_types(kIQ3_XXS), always, iq2_s},
    {Part::attn_q, file_types(kIQ3_XS), always, iq3_xxs},
    {Part::attn_q, file_types(kIQ3_XXS), always, iq2_s},

    {Part::attn_output, kVeryLow, experts8, q5_K},
    {Part::attn_output, kIQ1, always, iq2_xxs},
    {Part::attn_output, kIQ2_SorM, always, iq3_s},
    {Part::attn_output, file_types(kQ3_K_L), always, q4_K, Of::falcon},
    {Part::attn_output,
     file_types(kQ2_K, kQ3_K_S, kQ3_K_M, kQ4_K_S, kQ4_K_M, kIQ3_XS, kIQ3_XXS, kIQ3_S, kIQ3_M, kIQ4_NL,
                kIQ4_XS),
     experts8, q5_K, Of::others},
    {Part::attn_output, file_types(kQ2_K), always, q3_K, Of::others},
    {Part::attn_output, file_types(kIQ3_XXS), always, iq3_s, Of::others},
    {Part::attn_output, file_types(kQ3_K_M, kIQ3_M), always, q4_K, Of::others},
    {Part::attn_output, file_types(kQ3_K_L), not_experts8, q5_K, Of::others},

    {Part::ffn_down, kIQ2_SorM, first_8th, iq3_s},
    {Part::ffn_down, kVeryLow, first_8th, q2_K},
    {Part::ffn_down, file_types(kQ2_K), always, q3_K},
    {Part::ffn_down, file_types(kQ2_K_S), first_8th, q4_K},
    {Part::ffn_down, file_types(kIQ3_XXS), first_8th_no_imatrix, q4_K},
    {Part::ffn_down, file_types(kIQ3_XXS), no_imatrix, q3_K},
    {Part::ffn_down, file_types(kQ3_K_M), first_16th, q5_K},
    {Part::ffn_down, file_types(kQ3_K_M), more_bits, q4_K, Of::falcon},
    {Part::ffn_down, file_types(kQ3_K_M), always, q4_K, Of::others},
    {Part::ffn_down, file_types(kIQ3_M), first_8th_or_more_of_8_experts, q4_K},
    {Part::ffn_down, file_types(kQ3_K_L), always, q4_K, Of::falcon},
    {Part::ffn_down, file_types(kQ3_K_L), always, q5_K, Of::others},
    {Part::ffn_down, file_types(kQ4_K_M), first_16th, q6_K, Of::falcon},
    {Part::ffn_down, file_types(kQ4_K_M), more_bits, q5_K, Of::falcon},
    {Part::ffn_down, file_types(kQ4_K_M), more_bits, q6_K, Of::others},
    {Part::ffn_down, file_types(kQ5_K_M), more_bits, q6_K},
    {Part::ffn_down, file_types(kIQ4_NL, kIQ4_XS), first_8th_no_imatrix, q5_K},
    {Part::ffn_down, file_types(kQ4_K_S), first_8th, q5_K, Of::others},
    {Part::ffn_down, file_types(kQ4_0), first_8th_imatrix, q4_1},
    {Part::ffn_down, file_types(kQ5_0), first_8th_imatrix, q5_1},

    {Part::ffn_gate, file_types(kIQ3_XS), middle, iq3_xxs},
    {Part::ffn_up, file_types(kIQ3_XS), middle, iq3_xxs},
};

bool is_of(const Rule& rule, bool falcon) {
  return rule.of == Of::all || (rule.of == Of::falcon) == falcon;
}

}  // namespace

Part part_of(std::string_view name, bool tied) {
  if (name == "output.weight") return Part::output;
  if (name == "token_embd.weight" || name == "per_layer_token_embd.weight")
    return tied ? Part::output : Part::token_embd;
  for (const auto& [text, part] : kPartNames)
    if (name.find(text) != name.npos) return part;
  return Part::other;
}

std::optional<FormatId> format_by_rule(uint32_t file_type, Part part, const PartPlace& place) {
  for (const Rule& rule : kRules)
    if (rule.part == part && (rule.when_type >> file_type & 1) && is_of(rule, place.falcon) && rule.when(place))
      return rule.format;
  return std::nullopt;
}

}  // namespace snug
