#include "recipe/target.hpp"

#include <algorithm>

#include "base/str.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

using enum FormatId;
using enum NeedsImportance;

constexpr TargetFormat kLlama[] = {
    {f32},           {f16},            {q4_0},          {q4_1},   {q5_0},   {q5_1},
    {q8_0},          {q2_K},           {q3_K},          {q4_K},   {q5_K},   {q6_K},
    {iq2_xxs, always}, {iq2_xs, always}, {iq3_xxs, for_layers}, {iq1_s, always}, {iq4_nl}, {iq3_s},
    {iq2_s, for_layers}, {iq4_xs},     {iq1_m, for_layers}, {bf16}, {tq1_0}, {tq2_0},
    {mxfp4},         {nvfp4},          {q1_0},          {q2_0},
};

/// Its 41 is llama.cpp's under another name. It has no 34, 35, 40 and 42.
constexpr TargetFormat kIkLlama[] = {
    {f32},           {f16},            {q4_0},          {q4_1},   {q5_0},   {q5_1},
    {q8_0},          {q2_K},           {q3_K},          {q4_K},   {q5_K},   {q6_K},
    {iq2_xxs, always}, {iq2_xs, always}, {iq3_xxs},     {iq1_s, always}, {iq4_nl}, {iq3_s},
    {iq2_s, for_layers}, {iq4_xs},     {iq1_m, for_layers}, {bf16}, {mxfp4},
    {q1_0, never, "q1_0_g128"},
};

constexpr TargetFormat kMlx[] = {
    {mlx_q2_g32}, {mlx_q2_g64}, {mlx_q2_g128}, {mlx_q3_g32}, {mlx_q3_g64}, {mlx_q3_g128},
    {mlx_q4_g32}, {mlx_q4_g64}, {mlx_q4_g128}, {mlx_q5_g32}, {mlx_q5_g64}, {mlx_q5_g128},
    {mlx_q6_g32}, {mlx_q6_g64}, {mlx_q6_g128}, {mlx_q8_g32}, {mlx_q8_g64}, {mlx_q8_g128},
    {mlx_q2_g32_f16}, {mlx_q2_g64_f16}, {mlx_q2_g128_f16}, {mlx_q3_g32_f16}, {mlx_q3_g64_f16}, {mlx_q3_g128_f16},
    {mlx_q4_g32_f16}, {mlx_q4_g64_f16}, {mlx_q4_g128_f16}, {mlx_q5_g32_f16}, {mlx_q5_g64_f16}, {mlx_q5_g128_f16},
    {mlx_q6_g32_f16}, {mlx_q6_g64_f16}, {mlx_q6_g128_f16}, {mlx_q8_g32_f16}, {mlx_q8_g64_f16}, {mlx_q8_g128_f16},
    {mlx_mxfp4}, {mlx_nvfp4}, {mlx_mxfp8},
};

constexpr std::string_view kLlamaEnds[] = {"token_embd.weight", "per_layer_token_embd.weight",
                                           "output.weight"};
constexpr std::string_view kIkLlamaEnds[] = {"token_embd.weight", "output.weight"};

constexpr Target kTargets[] = {
    {"llama.cpp", Family::gguf, kLlama, ExportSyntax::tensor_type_file, kLlamaEnds, true},
    {"ik_llama.cpp", Family::gguf, kIkLlama, ExportSyntax::custom_q, kIkLlamaEnds, false},
    {"mlx", Family::mlx, kMlx, ExportSyntax::none, {}, false},
};

constexpr bool are_sorted() {
  return std::ranges::all_of(
      kTargets, [](const Target& t) { return std::ranges::is_sorted(t.formats, {}, &TargetFormat::id); });
}
static_assert(are_sorted());

}  // namespace

const TargetFormat* Target::find(FormatId id) const {
  const auto found = std::ranges::lower_bound(formats, id, {}, &TargetFormat::id);
  return found != formats.end() && found->id == id ? &*found : nullptr;
}

bool Target::needs_importance(std::string_view tensor, FormatId id) const {
  const TargetFormat* format = find(id);
  if (!format || format->needs == NeedsImportance::never) return false;
  return format->needs == NeedsImportance::always || std::ranges::find(ends, tensor) == ends.end();
}

std::span<const Target> targets() {
  return kTargets;
}

std::vector<std::string_view> target_names() {
  std::vector<std::string_view> names;
  for (const Target& target : kTargets) names.push_back(target.name);
  return names;
}

const Target& find_target(std::string_view name) {
  const auto* const found = std::ranges::find(kTargets, name, &Target::name);
  if (found != std::end(kTargets)) return *found;
  std::string known;
  for (const Target& target : kTargets) known += str(known.empty() ? "" : ", ", target.name);
  throw Error{str("unknown runtime '", name, "'"), "the runtime", str("known are ", known), Fault::usage};
}

}  // namespace snug
