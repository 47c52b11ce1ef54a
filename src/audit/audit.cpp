#include "audit/audit.hpp"

#include <algorithm>
#include <cctype>
#include <iterator>

#include "audit/card.hpp"
#include "audit/config_claims.hpp"
#include "base/files/read_file.hpp"
#include "base/str.hpp"
#include "base/units.hpp"
#include "hf/checkpoint.hpp"
#include "hf/sources.hpp"
#include "model/roles.hpp"
#include "quant/mlx_modes.hpp"
#include "recipe/presets.hpp"
#include "snug/model.hpp"

namespace snug {
namespace {

namespace fs = std::filesystem;

constexpr const char* kParts[] = {"embedding", "head", "attention", "ffn", "experts", "router", "other"};
constexpr int64_t kLeastWeights = 1;

// --- parts by name ------------------------------------------------------------------------------------------------

bool holds(std::string_view text, std::string_view part) { return text.find(part) != text.npos; }

/// Of a name in a checkpoint.
const char* part_of_path(std::string_view path) {
  constexpr std::string_view kRouters[] = {"mlp.gate", "shared_expert_gate", "router.proj", "mlp.router",
                                           "block_sparse_moe.gate", "feed_forward.gate"};
  if (path.ends_with("embed_tokens") || path.ends_with("embed_tokens_per_layer")) return "embedding";
  if (path.ends_with("lm_head")) return "head";
  if (std::ranges::any_of(kRouters, [&](auto router) { return path.ends_with(router); })) return "router";
  if (!path.ends_with("_proj") && !holds(path, "experts.") && !holds(path, ".in_proj_")) return "other";
  if (holds(path, "self_attn.") || holds(path, "linear_attn.")) return "attention";
  if (holds(path, "experts.") || holds(path, "switch_mlp.")) return "experts";
  return holds(path, "mlp.") ? "ffn" : "other";
}

/// Of a tensor in GGUF.
const char* part_of_role(Role role) {
  switch (role) {
    case Role::token_embd: return "embedding";
    case Role::output: return "head";
    case Role::attn_q: case Role::attn_k: case Role::attn_v: case Role::attn_qkv: case Role::attn_output:
    case Role::attn_other: return "attention";
    case Role::ffn_gate: case Role::ffn_up: case Role::ffn_down: case Role::ffn_shexp: return "ffn";
    case Role::ffn_gate_exps: case Role::ffn_up_exps: case Role::ffn_down_exps: return "experts";
    case Role::router: return "router";
    default: return "other";
  }
}

// --- formats ------------------------------------------------------------------------------------------------------

/// The first number in a format's name: 4 of q4_K, 16 of bf16.
int bits_in_name(std::string_view name) {
  int bits = 0;
  const auto digit = [](char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; };
  for (auto c = std::ranges::find_if(name, digit); c != name.end() && digit(*c); ++c) bits = 10 * bits + (*c - '0');
  return bits;
}

void set_format(AuditedTensor& tensor, FormatId format) {
  const auto mode = mlx_mode_of(format);
  tensor.format = mode ? str(mode->name, " ", mode->bits, "/", mode->group_size) : std::string{format_name(format)};
  tensor.raw_bits = mode ? mode->bits : bits_in_name(format_name(format));
}

// --- folders ------------------------------------------------------------------------------------------------------

AuditedTensor stored(const hf::Source& source) {
  constexpr std::string_view kWeight = ".weight";
  AuditedTensor tensor;
  tensor.name = source.raw->name;
  if (tensor.name.ends_with(kWeight)) tensor.name.resize(tensor.name.size() - kWeight.size());
  tensor.part = part_of_path(tensor.name);
  tensor.bytes = static_cast<int64_t>(source.raw->bytes.size());
  tensor.format = std::string{safetensors::dtype_name(source.raw->dtype)};
  if (!source.weights) return tensor;  // packed bytes that only an architecture knows
  tensor.weights = source.weights->weights();
  const bool is_kept = mlx_mode_of(source.weights->format) || safetensors::format_of(source.raw->dtype) == source.weights->format;
  if (is_kept) {
    set_format(tensor, source.weights->format);
    tensor.bytes = source.weights->bytes();
  } else {
    tensor.raw_bits = static_cast<int>(8 * tensor.bytes / std::max(kLeastWeights, tensor.weights));
  }
  return tensor;
}

/// Empty where there is none.
std::string text_of(const fs::path& file) {
  std::error_code unknown;
  return fs::is_regular_file(file, unknown) ? read_file(file) : "";
}

Audit audit_folder(const fs::path& folder) {
  const hf::Config config{folder};
  const safetensors::Checkpoint weights{folder};
  Audit audit;
  const hf::Sources sources{weights, config, hf::Rename{}, audit.remarks};
  audit.container = "safetensors";
  audit.file_bytes = weights.bytes();
  for (const hf::Source& source : sources.all()) audit.tensors.push_back(stored(source));
  audit.contradictions = contradictions_of_config(config, weights);
  return audit;
}

// --- GGUF ---------------------------------------------------------------------------------------------------------

/// A file type that no tensor is of.
void check_file_type(const ModelSource& model, Audit& audit) {
  const auto type = model.metadata().integer("general.file_type");
  if (!type) return;
  for (const Preset& preset : presets()) {
    const bool is_there = std::ranges::any_of(model.tensors(), [&](const Tensor& t) { return t.format == preset.base; });
    if (preset.file_type == *type && !is_there)
      audit.contradictions.push_back(str("general.file_type says ", preset.name, "; no tensor is in ", format_name(preset.base)));
  }
}

Audit audit_file(const fs::path& path) {
  const ModelSource model = open_model(path);
  Audit audit;
  audit.container = model.container();
  audit.file_bytes = model.bytes();
  for (const Tensor& source : model.tensors()) {
    AuditedTensor tensor{std::string{source.name}, part_of_role(role_of(source.name)), {}, 0, source.weights(), source.bytes()};
    set_format(tensor, source.format);
    audit.tensors.push_back(tensor);
  }
  check_file_type(model, audit);
  return audit;
}

// --- what both are held against -----------------------------------------------------------------------------------

int fewest_bits(const Audit& audit, std::string_view part) {
  int fewest = 0;
  for (const AuditedTensor& tensor : audit.tensors)
    if (tensor.part == part && tensor.raw_bits > 0) fewest = fewest ? std::min(fewest, tensor.raw_bits) : tensor.raw_bits;
  return fewest;
}

void check_card(const fs::path& card, Audit& audit) {
  const CardFacts facts{audit.total().bits_per_weight(), audit.matrices().raw_bits_per_weight(),
                        fewest_bits(audit, "embedding"), fewest_bits(audit, "router")};
  std::ranges::move(contradictions_of_card(text_of(card), facts), std::back_inserter(audit.contradictions));
}

void remark_routers(Audit& audit) {
  const int bits = fewest_bits(audit, "router");
  if (bits > 0 && bits < 8)
    audit.remarks.push_back(str("routers have ", bits, " bits: few bytes saved where a wrong choice costs most"));
}

}  // namespace

void AuditTotal::add(const AuditedTensor& tensor) {
  ++tensors;
  weights += tensor.weights;
  bytes += tensor.bytes;
  raw_bits += static_cast<double>(tensor.raw_bits) * static_cast<double>(tensor.weights);
}

AuditTotal Audit::total() const {
  AuditTotal total;
  for (const AuditedTensor& tensor : tensors) total.add(tensor);
  return total;
}

AuditTotal Audit::matrices() const {
  AuditTotal total;
  for (const AuditedTensor& tensor : tensors)
    if (tensor.part != "other") total.add(tensor);
  return total;
}

AuditTotal Audit::of_part(const std::string& part) const {
  AuditTotal total;
  for (const AuditedTensor& tensor : tensors)
    if (tensor.part == part) total.add(tensor);
  return total;
}

std::vector<std::string> Audit::parts() const {
  std::vector<std::string> found;
  for (const char* part : kParts)
    if (std::ranges::any_of(tensors, [&](const AuditedTensor& tensor) { return tensor.part == part; })) found.push_back(part);
  return found;
}

Audit audit_model(const fs::path& path) {
  const bool is_folder = hf::is_checkpoint(path);
  Audit audit = is_folder ? audit_folder(path) : audit_file(path);
  check_card((is_folder ? path : path.parent_path()) / "README.md", audit);
  remark_routers(audit);
  return audit;
}

}  // namespace snug
