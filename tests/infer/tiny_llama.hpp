#pragma once

#include <cstring>
#include <filesystem>
#include <random>
#include <string>
#include <variant>
#include <vector>

#include "gguf/writer.hpp"
#include "snug/quantize.hpp"

namespace snug::test {

/// A random llama small enough to write in a millisecond: 2 layers, 64 wide, 4 heads, 2 of them with keys and
/// values, feed-forward 96, vocabulary 40. Matrices in `format` (block of 32 at most), norms f32.
struct TinyLlama {
  std::string architecture = "llama";
  uint64_t seed = 1;
  FormatId format = FormatId::f32;
  int64_t vocabulary = 40;
  std::vector<std::string> without{};  // names of tensors to leave out
  std::vector<OutputKey> more_keys{};
};

inline std::vector<gguf::OutputTensor> tensors_of(const TinyLlama& model) {
  std::vector<gguf::OutputTensor> tensors;
  const auto matrix = [&](const std::string& name, int64_t cols, int64_t rows) {
    tensors.push_back({name, model.format, 2, {cols, rows, 1, 1}});
  };
  const auto norm = [&](const std::string& name) {
    tensors.push_back({name, FormatId::f32, 1, {64, 1, 1, 1}});
  };
  matrix("token_embd.weight", 64, model.vocabulary);
  matrix("output.weight", 64, model.vocabulary);
  norm("output_norm.weight");
  for (const std::string block : {"blk.0.", "blk.1."}) {
    norm(block + "attn_norm.weight");
    norm(block + "ffn_norm.weight");
    matrix(block + "attn_q.weight", 64, 64);
    matrix(block + "attn_k.weight", 64, 32);
    matrix(block + "attn_v.weight", 64, 32);
    matrix(block + "attn_output.weight", 64, 64);
    matrix(block + "ffn_gate.weight", 64, 96);
    matrix(block + "ffn_up.weight", 64, 96);
    matrix(block + "ffn_down.weight", 96, 64);
  }
  std::erase_if(tensors, [&](const gguf::OutputTensor& t) {
    return std::find(model.without.begin(), model.without.end(), t.name) != model.without.end();
  });
  return tensors;
}

inline void write_tiny_llama(const TinyLlama& model, const std::filesystem::path& path) {
  const std::string a = model.architecture + ".";
  std::vector<OutputKey> keys{
      {"general.architecture", model.architecture},
      {a + "context_length", MetadataValue{uint32_t{128}}},
      {a + "embedding_length", MetadataValue{uint32_t{64}}},
      {a + "block_count", MetadataValue{uint32_t{2}}},
      {a + "feed_forward_length", MetadataValue{uint32_t{96}}},
      {a + "attention.head_count", MetadataValue{uint32_t{4}}},
      {a + "attention.head_count_kv", MetadataValue{uint32_t{2}}},
      {a + "attention.layer_norm_rms_epsilon", MetadataValue{1e-5f}},
  };
  keys.insert(keys.end(), model.more_keys.begin(), model.more_keys.end());
  gguf::Writer writer{gguf::plan_layout(path, keys, tensors_of(model)), Existing::replace};
  std::mt19937_64 random{model.seed};
  std::normal_distribution<float> normal;
  for (size_t i = 0; i < writer.layout().tensors.size(); ++i) {
    const gguf::OutputTensor& t = writer.layout().tensors[i];
    const Format& format = *find_format(t.format);
    const int64_t rows = t.shape[1];
    std::vector<float> values(static_cast<size_t>(t.shape[0] * rows));
    for (float& v : values) v = t.dims == 1 ? 1 + 0.2f * normal(random) : 0.15f * normal(random);
    std::vector<std::byte> bytes(static_cast<size_t>(rows * format.row_bytes(t.shape[0])));
    quantize(format, {values.data(), rows, t.shape[0]}, {}, Effort::normal, bytes);
    writer.write(i, 0, bytes);
  }
  writer.commit();
}

}  // namespace snug::test
