#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "snug/model.hpp"

namespace snug::infer {

/// The keys of one architecture: "llama." + name. Throws Error that names file and key.
class ArchMetadata {
 public:
  ArchMetadata(const ModelSource& file, std::string architecture)
      : file_{file}, prefix_{std::move(architecture) + "."} {}

  int64_t integer(std::string_view name, int64_t fallback) const;  // 0 <= value < 2^31
  int64_t need_integer(std::string_view name) const;
  float real(std::string_view name, float fallback) const;
  float need_real(std::string_view name) const;
  bool boolean(std::string_view name, bool fallback) const;
  std::string text(std::string_view name, std::string_view fallback) const;
  bool is_array(std::string_view name) const;
  /// A scalar repeated, or an array of exactly `blocks` numbers or booleans; `fallback` repeated where it is
  /// missing.
  std::vector<int64_t> per_block(std::string_view name, int64_t blocks, int64_t fallback) const;
  std::vector<int64_t> integers(std::string_view name) const;  // empty where missing

  [[noreturn]] void fail(std::string_view name, const std::string& problem) const;
  const ModelSource& source() const { return file_; }

 private:
  std::string full(std::string_view name) const { return prefix_ + std::string{name}; }

  const ModelSource& file_;
  std::string prefix_;
};

/// rope.* keys, as they are in the file.
struct RopeKeys {
  int64_t dims = 0, dims_swa = 0;
  float base = 10000, base_swa = 0;  // base_swa 0: not in the file
  std::string scaling = "linear";    // none, linear, yarn, longrope
  float factor = 0;                  // 0: not in the file
  int64_t original_context = 0;
  float attn_factor = 1;
  float yarn_log_multiplier = 0, beta_fast = 32, beta_slow = 1;
  std::vector<int64_t> sections;  // rope.dimension_sections

  float frequency_scale() const { return factor == 0 || scaling == "none" ? 1.0f : 1.0f / factor; }
  /// Of sliding layers that are scaled as the others: the type "none" does not reach them.
  float frequency_scale_sliding() const { return factor == 0 ? 1.0f : 1.0f / factor; }
  bool yarn() const { return scaling == "yarn"; }
};

/// What most architectures read alike (§1.1 of the reference); the rest is asked of Keys by the architecture
/// itself.
struct Hparams {
  std::string architecture;
  int64_t vocab = 0, context = 0, embedding = 0;
  int64_t blocks = 0;  // in the file
  int64_t layers = 0;  // that are run: blocks without those that only predict further tokens
  std::vector<int64_t> heads, kv_heads, ffn;  // of each block
  int64_t key_dim = 0, value_dim = 0, key_dim_swa = 0, value_dim_swa = 0;
  float rms_eps = 0;
  RopeKeys rope;
  int64_t experts = 0, experts_used = 0, expert_ffn = 0, shared_ffn = 0, shared_experts = 0;
  int64_t expert_groups = 0, expert_groups_used = 0;
  float expert_scale = 0;
  bool expert_norm = false;
  int64_t expert_gating = 0;
  int64_t leading_dense = 0;
};

Hparams read_hparams(const ArchMetadata& keys, const std::string& architecture);

}  // namespace snug::infer
