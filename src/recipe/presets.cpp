#include "recipe/presets.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <numeric>
#include <optional>
#include <tuple>

#include "recipe/format_names.hpp"

namespace snug {
namespace {

using enum FormatId;

constexpr Preset kPresets[] = {
    {"f32", 0, f32},          {"f16", 1, f16},        {"q4_0", 2, q4_0},      {"q4_1", 3, q4_1},
    {"q8_0", 7, q8_0},        {"q5_0", 8, q5_0},      {"q5_1", 9, q5_1},      {"q2_k", 10, q2_K},
    {"q3_k_s", 11, q3_K},     {"q3_k_m", 12, q3_K},   {"q3_k_l", 13, q3_K},   {"q4_k_s", 14, q4_K},
    {"q4_k_m", 15, q4_K},     {"q5_k_s", 16, q5_K},   {"q5_k_m", 17, q5_K},   {"q6_k", 18, q6_K},
    {"iq2_xxs", 19, iq2_xxs}, {"iq2_xs", 20, iq2_xs}, {"q2_k_s", 21, q2_K},   {"iq3_xs", 22, iq3_s},
    {"iq3_xxs", 23, iq3_xxs}, {"iq1_s", 24, iq1_s},   {"iq4_nl", 25, iq4_nl}, {"iq3_s", 26, iq3_s},
    {"iq3_m", 27, iq3_s},     {"iq2_s", 28, iq2_xs},  {"iq2_m", 29, iq2_s},   {"iq4_xs", 30, iq4_xs},
    {"iq1_m", 31, iq1_m},     {"bf16", 32, bf16},     {"tq1_0", 36, tq1_0},   {"tq2_0", 37, tq2_0},
    {"mxfp4_moe", 38, mxfp4}, {"q1_0", 40, q1_0},     {"q2_0", 41, q2_0},
};
static_assert(std::ranges::is_sorted(kPresets, {}, &Preset::file_type));

/// File types by number, as sets: bit n is file type n.
using Types = uint64_t;
template <class... Numbers>
constexpr Types types(Numbers... numbers) {
  return ((Types{1} << numbers) | ...);
}

enum : uint32_t {
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
constexpr Types kAny = ~Types{0};
constexpr Types kIQ2_SorM = types(kIQ2_S, kIQ2_M);
constexpr Types kIQ1 = types(kIQ1_S, kIQ1_M);
constexpr Types kVeryLow = kIQ1 | kIQ2_SorM | types(kIQ2_XXS, kIQ2_XS);

/// The parts of a model that have rules; the first whose text the name holds.
enum class Part : uint8_t {
  other,
  output,
  token_embd,
  attn_v,
  attn_k,
  attn_q,
  attn_output,
  ffn_down,
  ffn_gate,
  ffn_up
};

constexpr std::pair<std::string_view, Part> kPartNames[] = {
    {"attn_v.weight", Part::attn_v},    {"attn_qkv.weight", Part::attn_v},
    {"attn_kv_b.weight", Part::attn_v}, {"attn_k.weight", Part::attn_k},
    {"attn_q.weight", Part::attn_q},    {"attn_output.weight", Part::attn_output},
    {"ffn_down", Part::ffn_down},       {"ffn_gate", Part::ffn_gate},
    {"ffn_up", Part::ffn_up},
};

Part part_of(std::string_view name, bool tied) {
  if (name == "output.weight") return Part::output;
  if (name == "token_embd.weight") return tied ? Part::output : Part::token_embd;
  for (const auto& [text, part] : kPartNames)
    if (name.find(text) != name.npos) return part;
  return Part::other;
}

/// What a condition looks at: the tensor's place among `layers` of its kind, and the model.
struct Place {
  int64_t index = 0, layers = 0;
  bool gqa4 = false, experts4 = false, experts8 = false, imatrix = false;
};

bool in_first(int64_t index, int64_t layers, int64_t fraction) {
  return index < layers / fraction;
}
bool more_bits(const Place& p) {
  return in_first(p.index, p.layers, 8) || p.index >= 7 * p.layers / 8 || (p.index - p.layers / 8) % 3 == 2;
}

using Condition = bool (*)(const Place&);
bool always(const Place&) {
  return true;
}
bool gqa4(const Place& p) {
  return p.gqa4;
}
bool gqa4_or_experts4(const Place& p) {
  return p.gqa4 || p.experts4;
}
bool experts8(const Place& p) {
  return p.experts8;
}
bool not_experts8(const Place& p) {
  return !p.experts8;
}
bool no_imatrix(const Place& p) {
  return !p.imatrix;
}
bool first_two(const Place& p) {
  return p.index < 2;
}
bool first_four(const Place& p) {
  return p.index < 4;
}
bool first_16th(const Place& p) {
  return in_first(p.index, p.layers, 16);
}
bool first_8th(const Place& p) {
  return in_first(p.index, p.layers, 8);
}
bool first_8th_imatrix(const Place& p) {
  return p.imatrix && first_8th(p);
}
bool first_8th_no_imatrix(const Place& p) {
  return !p.imatrix && first_8th(p);
}
bool first_8th_or_more_of_8_experts(const Place& p) {
  return first_8th(p) || (p.experts8 && more_bits(p));
}
bool middle(const Place& p) {
  return !first_8th(p) && p.index < 7 * p.layers / 8;
}

struct Rule {
  Part part;
  Types when_type;
  Condition when;
  FormatId format;
};

/// The mixes of llama-quantize as of August 2026, in its order of precedence: the first rule that holds
/// decides.
constexpr Rule kRules[] = {
    {Part::output, types(kMXFP4_MOE), always, q8_0},
    {Part::output, kVeryLow | types(kIQ3_XXS), always, q5_K},
    {Part::output, ~types(kQ8_0), always, q6_K},

    {Part::token_embd, kIQ1 | types(kIQ2_XXS, kIQ2_XS), always, q2_K},
    {Part::token_embd, kIQ2_SorM | types(kIQ3_XXS), always, iq3_s},
    {Part::token_embd, types(kTQ1_0, kTQ2_0, kQ2_0), always, q4_K},

    {Part::attn_v, kVeryLow, gqa4_or_experts4, q4_K},
    {Part::attn_v, kIQ2_SorM, always, iq3_s},
    {Part::attn_v, kVeryLow, always, q2_K},
    {Part::attn_v, kAny, experts8, q8_0},
    {Part::attn_v, types(kQ2_K, kQ2_K_S, kIQ3_XXS, kIQ3_XS, kIQ3_S), gqa4, q4_K},
    {Part::attn_v, types(kQ2_K), always, q3_K},
    {Part::attn_v, types(kIQ3_XXS), no_imatrix, iq3_s},
    {Part::attn_v, types(kIQ3_M), always, q4_K},
    {Part::attn_v, types(kQ3_K_M), first_two, q5_K},
    {Part::attn_v, types(kQ3_K_M), always, q4_K},
    {Part::attn_v, types(kQ3_K_L), always, q5_K},
    {Part::attn_v, types(kIQ4_NL, kIQ4_XS), gqa4, q5_K},
    {Part::attn_v, types(kQ4_K_M, kQ5_K_M), more_bits, q6_K},
    {Part::attn_v, types(kQ4_K_S), first_four, q5_K},

    {Part::attn_k, kVeryLow, experts8, q4_K},
    {Part::attn_k, ~kVeryLow, experts8, q8_0},
    {Part::attn_k, types(kIQ3_XS), always, iq3_xxs},
    {Part::attn_k, types(kIQ3_XXS), always, iq2_s},
    {Part::attn_q, types(kIQ3_XS), always, iq3_xxs},
    {Part::attn_q, types(kIQ3_XXS), always, iq2_s},

    {Part::attn_output,
     kVeryLow | types(kQ2_K, kQ3_K_S, kQ3_K_M, kQ4_K_S, kQ4_K_M, kIQ3_XS, kIQ3_XXS, kIQ3_S, kIQ3_M, kIQ4_NL,
                      kIQ4_XS),
     experts8, q5_K},
    {Part::attn_output, kIQ1, always, iq2_xxs},
    {Part::attn_output, kIQ2_SorM, always, iq3_s},
    {Part::attn_output, types(kQ2_K), always, q3_K},
    {Part::attn_output, types(kIQ3_XXS), always, iq3_s},
    {Part::attn_output, types(kQ3_K_M, kIQ3_M), always, q4_K},
    {Part::attn_output, types(kQ3_K_L), not_experts8, q5_K},

    {Part::ffn_down, kIQ2_SorM, first_8th, iq3_s},
    {Part::ffn_down, kVeryLow, first_8th, q2_K},
    {Part::ffn_down, types(kQ2_K), always, q3_K},
    {Part::ffn_down, types(kQ2_K_S), first_8th, q4_K},
    {Part::ffn_down, types(kIQ3_XXS), first_8th_no_imatrix, q4_K},
    {Part::ffn_down, types(kIQ3_XXS), no_imatrix, q3_K},
    {Part::ffn_down, types(kQ3_K_M), first_16th, q5_K},
    {Part::ffn_down, types(kQ3_K_M), always, q4_K},
    {Part::ffn_down, types(kIQ3_M), first_8th_or_more_of_8_experts, q4_K},
    {Part::ffn_down, types(kQ3_K_L), always, q5_K},
    {Part::ffn_down, types(kQ4_K_M, kQ5_K_M), more_bits, q6_K},
    {Part::ffn_down, types(kIQ4_NL, kIQ4_XS), first_8th_no_imatrix, q5_K},
    {Part::ffn_down, types(kQ4_K_S), first_8th, q5_K},
    {Part::ffn_down, types(kQ4_0), first_8th_imatrix, q4_1},
    {Part::ffn_down, types(kQ5_0), first_8th_imatrix, q5_1},

    {Part::ffn_gate, types(kIQ3_XS), middle, iq3_xxs},
    {Part::ffn_up, types(kIQ3_XS), middle, iq3_xxs},
};

std::optional<FormatId> by_rule(const Preset& preset, Part part, const Place& place) {
  for (const Rule& rule : kRules)
    if (rule.part == part && (rule.when_type >> preset.file_type & 1) && rule.when(place)) return rule.format;
  return std::nullopt;
}

/// The models llama.cpp calls 70B. Eight heads share their attn_v there: more bits for it cost next to
/// nothing.
bool is_70b(const PresetModel& m) {
  if (m.layers != 80) return false;
  if (m.architecture == "llama") return m.heads != m.heads_kv;
  return m.architecture == "qwen2" || m.architecture == "deci" || m.architecture == "olmo";
}

constexpr std::pair<FormatId, FormatId> kFallbacks[] = {
    {iq1_s, iq4_nl},   {iq1_m, iq4_nl}, {iq2_xxs, iq4_nl}, {iq2_xs, iq4_nl}, {iq2_s, iq4_nl},
    {iq3_xxs, iq4_nl}, {iq3_s, iq4_nl}, {iq4_xs, iq4_nl},  {q1_0, q4_0},     {q2_0, q4_0},
    {q2_K, q4_0},      {q3_K, q4_0},    {tq1_0, q4_0},     {tq2_0, q4_0},    {q4_K, q5_0},
    {q5_K, q5_1},      {q6_K, q8_0},
};

bool fits(FormatId format, int64_t cols) {
  const BlockShape shape = block_shape(format);
  return shape.block_weights > 0 && cols % shape.block_weights == 0;
}

bool is_quantized(FormatId format) {
  return block_shape(format).block_weights > 1;
}

int64_t block_of(std::string_view name) {
  constexpr std::string_view kPrefix = "blk.";
  int64_t block = -1;
  if (name.starts_with(kPrefix))
    std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), block);
  return block;
}

/// Walks the tensors as llama-quantize does, counting each kind.
class Mix {
 public:
  Mix(const Preset& preset, const PresetModel& model, std::span<const PresetTensor> tensors)
      : preset_(preset),
        model_(model),
        tied_(std::ranges::find(tensors, "output.weight", &PresetTensor::name) == tensors.end()) {
    attn_v_ = std::ranges::count_if(tensors, [&](const PresetTensor& t) {
      return t.quantizable && part_of(t.name, tied_) == Part::attn_v;
    });
  }

  FormatId next(const PresetTensor& tensor) {
    if (!tensor.quantizable) return tensor.source;
    if (!is_quantized(preset_.base)) return preset_.base;
    const Part part = part_of(tensor.name, tied_);
    const int64_t seen = seen_[static_cast<size_t>(part)]++;
    if (part != Part::output && preset_.file_type == kMXFP4_MOE)
      return tensor.matrices > 1 ? preset_.base : q8_0;
    if (part == Part::output && (model_.architecture == "falcon" || !fits(preset_.base, tensor.cols)))
      return q8_0;
    const FormatId format =
        by_rule(preset_, part, place(part, seen, block_of(tensor.name))).value_or(preset_.base);
    const bool very_low = kVeryLow >> preset_.file_type & 1;
    if (part == Part::attn_v && !very_low && is_70b(model_) && (format == q3_K || format == q4_K))
      return q5_K;
    return format;
  }

 private:
  /// In a model of experts a layer holds several ffn tensors of a kind: there the name says which layer it
  /// is, except that the very low file types go on counting.
  Place place(Part part, int64_t seen, int64_t block) const {
    const bool counts = part == Part::attn_v || model_.experts <= 1 ||
                        (part == Part::ffn_down && (kVeryLow >> preset_.file_type & 1));
    return {.index = counts ? seen : block,
            .layers = part == Part::attn_v ? attn_v_ : model_.layers,
            .gqa4 = model_.heads_kv > 0 && model_.heads / model_.heads_kv >= 4,
            .experts4 = model_.experts >= 4,
            .experts8 = model_.experts == 8,
            .imatrix = model_.has_imatrix};
  }

  const Preset& preset_;
  const PresetModel& model_;
  bool tied_;
  int64_t attn_v_ = 0;
  std::array<int64_t, 10> seen_{};  // by Part
};

struct FileTypeSize {
  double bits_per_weight;
  uint32_t file_type;
};
constexpr FileTypeSize kFileTypeSizes[] = {
    {1.5625, kIQ1_S}, {1.75, kIQ1_M},     {2.0625, kIQ2_XXS}, {2.3125, kIQ2_XS}, {2.5625, kIQ2_S},
    {2.625, kQ2_K},   {3.0625, kIQ3_XXS}, {3.4375, kQ3_K_M},  {4.25, kIQ4_XS},   {4.5, kQ4_K_M},
    {5.5, kQ5_K_M},   {6.5625, 18},       {8.5, kQ8_0},       {16, 32},
};

}  // namespace

std::span<const Preset> presets() {
  return kPresets;
}

std::vector<std::string_view> preset_names() {
  std::vector<std::string_view> names;
  for (const Preset& preset : kPresets) names.push_back(preset.name);
  return names;
}

const Preset* find_preset(std::string_view name) {
  constexpr std::pair<std::string_view, std::string_view> kShortNames[] = {
      {"q3_k", "q3_k_m"}, {"q4_k", "q4_k_m"}, {"q5_k", "q5_k_m"}};
  for (const auto& [brief, full] : kShortNames)
    if (same_letters(name, brief)) name = full;
  for (const Preset& preset : kPresets)
    if (same_letters(name, preset.name)) return &preset;
  return nullptr;
}

FormatId fitting_format(FormatId format, int64_t cols) {
  if (fits(format, cols)) return format;
  const auto* fallback = std::ranges::find(kFallbacks, format, &std::pair<FormatId, FormatId>::first);
  return fallback != std::end(kFallbacks) && fits(fallback->second, cols) ? fallback->second : f16;
}

std::vector<FormatId> preset_formats(const Preset& preset, const PresetModel& model,
                                     std::span<const PresetTensor> tensors) {
  std::vector<size_t> order(tensors.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, {}, [&](size_t i) {
    return std::tuple{block_of(tensors[i].name), tensors[i].name};
  });
  std::vector<FormatId> formats(tensors.size());
  Mix mix{preset, model, tensors};
  for (const size_t i : order) {
    formats[i] = mix.next(tensors[i]);
    if (tensors[i].quantizable) formats[i] = fitting_format(formats[i], tensors[i].cols);
  }
  return formats;
}

uint32_t file_type_for_bpw(double bits_per_weight) {
  for (const FileTypeSize& size : kFileTypeSizes)
    if (bits_per_weight <= size.bits_per_weight) return size.file_type;
  return 0;
}

}  // namespace snug
