#include "mlx/presets.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/str.hpp"

namespace snug::mlx {
namespace {

using enum FormatId;
using Choice = std::optional<FormatId>;  // nothing: left unquantized
constexpr Choice kUnquantized{};

// --- what a module is ---------------------------------------------------------------------------------------------

enum class Part : uint8_t {
  other, embedding, head, attention_in, attention_out, delta_in, delta_gate, delta_out, gate_or_up, down, router,
  unnamed_router,  // routers that the published recipes' patterns do not match
};

struct PartName {
  std::string_view end;  // last words of the path
  Part part;
};
constexpr PartName kParts[] = {
    {"embed_tokens", Part::embedding},
    {"lm_head", Part::head},
    {"q_proj", Part::attention_in}, {"k_proj", Part::attention_in}, {"v_proj", Part::attention_in},
    {"o_proj", Part::attention_out},
    {"linear_attn.in_proj_qkv", Part::delta_in}, {"linear_attn.in_proj_z", Part::delta_in},
    {"linear_attn.in_proj_qkvz", Part::delta_in},
    {"linear_attn.in_proj_a", Part::delta_gate}, {"linear_attn.in_proj_b", Part::delta_gate},
    {"linear_attn.in_proj_ba", Part::delta_gate},
    {"linear_attn.out_proj", Part::delta_out},
    {"gate_proj", Part::gate_or_up}, {"up_proj", Part::gate_or_up},
    {"down_proj", Part::down},
    {"mlp.gate", Part::router},
    {"shared_expert_gate", Part::router},
    {"router.proj", Part::router},
    {"feed_forward.gate", Part::router},
    {"mlp.router", Part::unnamed_router},
    {"block_sparse_moe.gate", Part::unnamed_router},
};

bool ends_with_words(std::string_view path, std::string_view end) {
  return path.ends_with(end) && (path.size() == end.size() || path[path.size() - end.size() - 1] == '.');
}

bool holds(std::string_view path, std::string_view part) { return path.find(part) != path.npos; }

Part part_of(std::string_view path) {
  for (const PartName& name : kParts)
    if (ends_with_words(path, name.end)) return name.part;
  return Part::other;
}

/// The n of "layers.n."; 0 outside of layers, as mlx_lm's recipes count.
int64_t layer_of(std::string_view path) {
  constexpr std::string_view kLayers = "layers.";
  const size_t at = path.find(kLayers);
  int64_t layer = 0;
  if (at != path.npos) std::from_chars(path.data() + at + kLayers.size(), path.data() + path.size(), layer);
  return layer;
}

struct Subject {
  std::string_view path;
  Part part;
  int64_t layer, layers;  // its own number, and how many there are
  bool has_delta_nets;    // the model, anywhere
  bool has_shared_expert;

  bool is_near_an_end() const { return layer < 2 || layer >= layers - 2; }
  bool is_router() const { return part == Part::router || part == Part::unnamed_router; }
};

// --- formats ------------------------------------------------------------------------------------------------------

constexpr FormatId affine(int bits) {
  constexpr std::array<FormatId, 9> kOfBits{f32,        f32,        mlx_q2_g64, mlx_q3_g64, mlx_q4_g64,
                                            mlx_q5_g64, mlx_q6_g64, f32,        mlx_q8_g64};
  return kOfBits[static_cast<size_t>(bits)];
}

/// There are no codes of 7 bits, and none below 2 or above 8.
constexpr int existing_bits(int bits) { return bits <= 2 ? 2 : bits >= 7 ? 8 : bits; }

// --- the recipes, one function each -------------------------------------------------------------------------------

/// mlx_lm's convert without a recipe: what its model classes say of themselves, mostly of routers. Mixtral's says
/// nothing, nor does that of Qwen2-MoE, the one with a shared expert beside plain attention.
Choice standard(const Preset& preset, const Subject& m) {
  const bool is_qwen2_moe = m.has_shared_expert && !m.has_delta_nets;
  const bool is_said = (m.part == Part::router && !is_qwen2_moe) || ends_with_words(m.path, "mlp.router");
  return is_said ? mlx_q8_g64 : preset.usual;
}

/// mlx_lm's mixed_*: more bits for what the first and last eighth and every third layer between them write.
Choice mixed(const Preset& preset, const Subject& m) {
  const int64_t eighth = m.layers / 8;
  const bool more = m.layer < eighth || m.layer >= 7 * m.layers / 8 || ((m.layer - eighth) % 3 + 3) % 3 == 2;
  const bool values = holds(m.path, "v_proj") || holds(m.path, "v_a_proj") || holds(m.path, "v_b_proj");
  const bool high = m.part == Part::head || (more && (values || holds(m.path, "down_proj")));
  return affine(high ? preset.high : preset.low);
}

/// Eight bits for the dense network and the router beside the experts.
Choice mixed_4_8(const Preset&, const Subject& m) {
  const bool dense = ends_with_words(m.path, "mlp.gate_proj") || ends_with_words(m.path, "mlp.up_proj") ||
                     ends_with_words(m.path, "mlp.down_proj");
  return affine(dense || ends_with_words(m.path, "router.proj") ? 8 : 4);
}

Choice config_i_router(const Preset& preset, const Subject& m) {
  switch (preset.routers) {
    case Preset::Routers::unquantized: return kUnquantized;
    case Preset::Routers::four: return affine(4);
    case Preset::Routers::eight: return affine(8);
    case Preset::Routers::four_and_eight_at_the_ends: return affine(m.is_near_an_end() ? 8 : 4);
  }
  return kUnquantized;
}

Choice config_i(const Preset& preset, const Subject& m) {
  if (m.is_router()) return config_i_router(preset, m);
  if (m.part == Part::embedding || m.part == Part::head) return affine(8);
  if (m.is_near_an_end()) return affine(8);
  if (m.part == Part::gate_or_up) return affine(2);
  if (m.part == Part::down) return affine(3);
  return affine(4);
}

/// Bits before promotion; nothing: unquantized.
std::optional<int> unsloth_bits(const Preset& preset, Part part) {
  switch (part) {
    case Part::embedding:
    case Part::attention_in:
    case Part::delta_in: return existing_bits(preset.low + 2);
    case Part::head: return existing_bits(preset.low + 3);
    case Part::down: return existing_bits(preset.low + 1);
    case Part::router: return 8;
    case Part::attention_out:
    case Part::delta_out:
    case Part::delta_gate: return preset.later ? std::optional{8} : std::nullopt;
    default: return preset.low;
  }
}

bool stays_affine(const Preset& preset, const Subject& m, int bits) {
  constexpr std::string_view kNever[] = {"lm_head", "embed_tokens", "embedding_projection"};
  const bool writes_or_gates =
      m.part == Part::attention_out || m.part == Part::delta_out || m.part == Part::delta_gate;
  return m.part == Part::router || (preset.later && bits == 8 && writes_or_gates) ||
         std::ranges::any_of(kNever, [&](std::string_view part) { return holds(m.path, part); });
}

Choice unsloth(const Preset& preset, const Subject& m) {
  using enum Preset::Promotion;
  const std::optional<int> bits = unsloth_bits(preset, m.part);
  if (!bits) return kUnquantized;
  if (preset.promotion == none || stays_affine(preset, m, *bits)) return affine(*bits);
  if (*bits == 4) return preset.promotion == mxfp ? mlx_mxfp4 : mlx_nvfp4;
  return *bits == 8 && preset.promotion == mxfp ? mlx_mxfp8 : affine(*bits);
}

/// Whether a feed-forward matrix of a model with delta nets is in the layers that get more.
bool is_high_feed_forward(const Subject& m) { return m.has_delta_nets && m.layer >= m.layers - 8; }

/// Feed-forward matrices four bits, attention eight, the rest unquantized.
Choice classes(const Preset& preset, const Subject& m) {
  switch (m.part) {
    case Part::gate_or_up:
    case Part::down: return is_high_feed_forward(m) ? mlx_mxfp8 : preset.usual;
    case Part::attention_in:
    case Part::attention_out:
    case Part::delta_in:
    case Part::delta_out: return mlx_mxfp8;
    case Part::head: return m.has_delta_nets ? Choice{mlx_mxfp8} : kUnquantized;
    default: return kUnquantized;
  }
}

Choice choose(const Preset& preset, const Subject& module) {
  switch (preset.kind) {
    case Preset::Kind::standard: return standard(preset, module);
    case Preset::Kind::mixed: return mixed(preset, module);
    case Preset::Kind::mixed_4_8: return mixed_4_8(preset, module);
    case Preset::Kind::config_i: return config_i(preset, module);
    case Preset::Kind::unsloth: return unsloth(preset, module);
    case Preset::Kind::classes: return classes(preset, module);
  }
  return kUnquantized;
}

// --- the table ----------------------------------------------------------------------------------------------------

void add_mixed(std::vector<Preset>& all, int low, int high) {
  all.push_back({.name = str("mixed_", low, "_", high),
                 .kind = Preset::Kind::mixed,
                 .usual = affine(low),
                 .low = low,
                 .high = high});
}

void add_config_i(std::vector<Preset>& all, const char* name, const char* alias, Preset::Routers routers) {
  all.push_back({.name = name, .alias = alias, .kind = Preset::Kind::config_i, .usual = affine(4), .routers = routers});
}

void add_unsloth(std::vector<Preset>& all, bool later, int bits) {
  using enum Preset::Promotion;
  const std::string begin = later ? "ud2_" : "ud_";
  Preset preset{.name = str(begin, "q", bits), .kind = Preset::Kind::unsloth, .usual = affine(bits), .low = bits};
  preset.later = later;
  all.push_back(preset);
  const bool plain = bits == 4 || bits == 8;  // published under the mode's own name
  preset.promotion = mxfp;
  preset.name = plain ? str(begin, "mxfp", bits) : str(begin, "q", bits, "_mxfp");
  preset.alias = plain ? str(begin, "q", bits, "_mxfp") : "";
  all.push_back(preset);
  preset.promotion = nvfp;
  preset.name = bits == 4 ? begin + "nvfp4" : str(begin, "q", bits, "_nvfp");
  preset.alias = bits == 4 ? begin + "q4_nvfp" : "";
  all.push_back(preset);
}

std::vector<Preset> all_presets() {
  using enum Preset::Routers;
  std::vector<Preset> all;
  all.push_back({.name = "mlx_default_4_64", .alias = "mlx_4bit", .kind = Preset::Kind::standard, .usual = affine(4)});
  for (const auto& [low, high] : {std::pair{2, 6}, {3, 4}, {3, 6}, {4, 6}}) add_mixed(all, low, high);
  all.push_back({.name = "brlin_mixed_4_8", .alias = "mixed_4_8", .kind = Preset::Kind::mixed_4_8, .usual = affine(4)});
  add_config_i(all, "configi_published", "config_i", four_and_eight_at_the_ends);
  add_config_i(all, "configi_router_bf16", "", unquantized);
  add_config_i(all, "configi_router_8", "", eight);
  add_config_i(all, "configi_router_4", "", four);
  for (const bool later : {false, true})
    for (const int bits : {2, 3, 4, 5, 6, 8}) add_unsloth(all, later, bits);
  all.push_back({.name = "fixed_mxfp4", .kind = Preset::Kind::classes, .usual = mlx_mxfp4});
  all.push_back({.name = "fixed_nvfp4", .kind = Preset::Kind::classes, .usual = mlx_nvfp4});
  return all;
}

bool same_letters(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; };
  return std::ranges::equal(a, b, {}, lower, lower);
}

std::vector<Subject> subjects_of(std::span<const PresetModule> modules) {
  std::vector<Subject> subjects;
  int64_t layers = 0;
  bool has_delta_nets = false, has_shared_expert = false;
  for (const PresetModule& module : modules) {
    layers = std::max(layers, layer_of(module.path) + 1);
    has_delta_nets |= holds(module.path, "linear_attn.");
    has_shared_expert |= holds(module.path, "shared_expert.");
  }
  for (const PresetModule& module : modules)
    subjects.push_back({module.path, part_of(module.path), layer_of(module.path), layers, has_delta_nets,
                        has_shared_expert});
  return subjects;
}

}  // namespace

std::span<const Preset> presets() {
  static const std::vector<Preset> all = all_presets();
  return all;
}

std::vector<std::string_view> preset_names() {
  std::vector<std::string_view> names;
  for (const Preset& preset : presets()) names.push_back(preset.name);
  return names;
}

const Preset* find_preset(std::string_view name) {
  if (name.empty()) return nullptr;
  for (const Preset& preset : presets())
    if (same_letters(preset.name, name) || same_letters(preset.alias, name)) return &preset;
  return nullptr;
}

std::vector<std::optional<FormatId>> preset_formats(const Preset& preset, std::span<const PresetModule> modules) {
  const Format& usual = *find_format(preset.usual);
  const std::vector<Subject> subjects = subjects_of(modules);
  std::vector<std::optional<FormatId>> formats;
  for (size_t i = 0; i < modules.size(); ++i) {
    Choice choice = choose(preset, subjects[i]);
    const int64_t cols = modules[i].cols;
    if (choice && (!usual.fits(cols) || !find_format(*choice)->fits(cols))) choice = kUnquantized;
    formats.push_back(choice);
  }
  return formats;
}

}  // namespace snug::mlx
