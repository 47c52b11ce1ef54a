#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace snug::test {

/// Every architecture that the real library's quantizer takes.
std::span<const std::string_view> quantizer_architectures();

/// What the mixes of llama-quantize ask about.
struct QuantizerModel {
  std::string_view architecture = "llama";
  uint32_t layers = 16, heads = 32, kv_heads = 8, experts = 0;
  enum class Attention { split, fused, latent } attention = Attention::split;
  bool tied = false;       // no output.weight
  bool per_layer = false;  // per_layer_token_embd.weight
  int64_t cols = 256;      // of every row
  uint32_t drafts = 0;     // of the layers, the last: blocks that draft tokens (MTP)
};

/// A file that the quantizer accepts and nobody could run: the keys that any architecture asks for, and small
/// tensors of every kind that has rules, with some that no preset changes. In f16; the weights are all equal.
void write_quantizer_model(const QuantizerModel& model, const std::filesystem::path& path);

/// One line for messages.
std::string to_string(const QuantizerModel& model);

}  // namespace snug::test
