#include "recipe/presets.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <numeric>
#include <optional>
#include <tuple>

#include "recipe/format_names.hpp"
#include "recipe/preset_rules.hpp"

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

/// The models llama.cpp calls 70B. Eight heads share their attn_v there: more bits for it cost next to
/// nothing.
bool is_70b(const PresetModel& m) {
  if (m.layers != 80) return false;
  if (m.architecture == "llama" || m.architecture == "llama-embed") return m.heads != m.heads_kv;
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

/// llama-quantize reads no numbers of a projector for images: it counts no layer there.
PresetModel as_it_reads(const PresetModel& model) {
  if (model.architecture != "clip") return model;
  return {.architecture = model.architecture, .has_imatrix = model.has_imatrix};
}

/// Walks the tensors as llama-quantize does, counting each part.
class Mix {
 public:
  Mix(const Preset& preset, const PresetModel& model, std::span<const PresetTensor> tensors)
      : preset_(preset),
        model_(as_it_reads(model)),
        tied_(std::ranges::find(tensors, "output.weight", &PresetTensor::name) == tensors.end()),
        very_low_(kVeryLow >> preset.file_type & 1) {
    attn_v_ = std::ranges::count_if(
        tensors, [&](const PresetTensor& t) { return part_of(t.name, tied_) == Part::attn_v; });
  }

  FormatId next(const PresetTensor& tensor) {
    if (!tensor.quantizable) return tensor.source;
    if (!is_quantized(preset_.base)) return preset_.base;
    const Part part = part_of(tensor.name, tied_);
    const int64_t seen = seen_[static_cast<size_t>(part)]++;
    if (part != Part::output && preset_.file_type == kMXFP4_MOE)
      return is_mxfp4(tensor, part) ? preset_.base : q8_0;
    if (part == Part::output && (is_falcon() || !fits(preset_.base, tensor.cols))) return q8_0;
    const FormatId format =
        format_by_rule(preset_.file_type, part, place(part, seen, block_of(tensor.name)))
            .value_or(preset_.base);
    if (part == Part::attn_v && !very_low_ && is_70b(model_) && (format == q3_K || format == q4_K))
      return q5_K;
    return format;
  }

 private:
  bool is_falcon() const { return model_.architecture == "falcon"; }

  bool is_mxfp4(const PresetTensor& tensor, Part part) const {
    const bool ffn = part == Part::ffn_up || part == Part::ffn_gate || part == Part::ffn_down;
    return tensor.matrices > 1 && (ffn || model_.architecture != "bailingmoe3");
  }

  /// In a model of experts a layer holds several ffn tensors of a kind: there the name says which layer it
  /// is, except that the very low file types go on counting.
  PartPlace place(Part part, int64_t seen, int64_t block) const {
    const bool counts =
        part == Part::attn_v || model_.experts <= 1 || (part == Part::ffn_down && very_low_);
    return {.index = counts ? seen : block,
            .layers = part == Part::attn_v ? attn_v_ : model_.layers,
            .gqa4 = model_.heads_kv > 0 && model_.heads / model_.heads_kv >= 4,
            .experts4 = model_.experts >= 4,
            .experts8 = model_.experts == 8,
            .imatrix = model_.has_imatrix,
            .falcon = is_falcon()};
  }

  const Preset& preset_;
  PresetModel model_;
  bool tied_, very_low_;
  int64_t attn_v_ = 0;
  std::array<int64_t, kParts> seen_{};
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

}  // namespace snug
