#pragma once

#include <cstring>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "base/half.hpp"
#include "hf/checkpoint.hpp"
#include "safetensors/writer.hpp"
#include "snug/error.hpp"
#include "support/scratch.hpp"

namespace snug::test {

using safetensors::Dtype;

/// The number that weight i of a tensor has: exact in bf16, and different from its neighbours'.
inline float weight(size_t i) { return static_cast<float>(static_cast<int>(i % 251) - 125); }

/// A checkpoint folder in the making: config.json and tensors by name.
class TinyCheckpoint {
 public:
  explicit TinyCheckpoint(std::string config) : config_(std::move(config)) {}

  TinyCheckpoint& add(const std::string& name, std::vector<int64_t> shape, Dtype dtype = Dtype::bf16) {
    std::string bytes;
    for (size_t i = 0, n = count(shape); i < n; ++i) bytes += stored(weight(i), dtype);
    return add_bytes(name, std::move(shape), dtype, std::move(bytes));
  }

  TinyCheckpoint& add_values(const std::string& name, std::vector<int64_t> shape, const std::vector<float>& values,
                             Dtype dtype = Dtype::f32) {
    std::string bytes;
    for (const float value : values) bytes += stored(value, dtype);
    return add_bytes(name, std::move(shape), dtype, std::move(bytes));
  }

  TinyCheckpoint& add_bytes(const std::string& name, std::vector<int64_t> shape, Dtype dtype, std::string bytes) {
    tensors_[name] = {{name, dtype, std::move(shape)}, std::move(bytes)};
    return *this;
  }

  TinyCheckpoint& remove(const std::string& name) {
    tensors_.erase(name);
    return *this;
  }

  /// Adds the same under other names: the part of every name that is `from` becomes `to`.
  TinyCheckpoint& rename(const std::string& from, const std::string& to) {
    auto old = std::move(tensors_);
    tensors_.clear();
    for (auto& [name, tensor] : old) {
      std::string other = name;
      if (const size_t at = other.find(from); at != other.npos) other.replace(at, from.size(), to);
      tensor.planned.name = other;
      tensors_[other] = std::move(tensor);
    }
    return *this;
  }

  TinyCheckpoint& config(std::string text) {
    config_ = std::move(text);
    return *this;
  }

  TinyCheckpoint& metadata(std::map<std::string, std::string> values) {
    metadata_ = std::move(values);
    return *this;
  }

  void save(const std::filesystem::path& folder, uint64_t shard_bytes = 1 << 30) const {
    std::ofstream{folder / "config.json"} << config_;
    std::vector<safetensors::Planned> planned;
    for (const auto& [name, tensor] : tensors_) planned.push_back(tensor.planned);
    safetensors::FolderWriter writer{folder, planned, metadata_, shard_bytes,
                                     safetensors::FolderWriter::Index::where_sharded, Existing::replace};
    size_t i = 0;
    for (const auto& [name, tensor] : tensors_) writer.write(i++, 0, std::as_bytes(std::span{tensor.bytes}));
    writer.commit();
  }

  ModelSource open() const {
    const Scratch scratch;
    save(scratch.path());
    return hf::open_checkpoint(scratch.path());  // mapped: what is removed stays readable
  }

  /// The message of the Error that opening throws; empty where it throws none.
  std::string refusal() const {
    try {
      open();
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }

 private:
  struct Stored {
    safetensors::Planned planned;
    std::string bytes;
  };

  static size_t count(const std::vector<int64_t>& shape) {
    size_t n = 1;
    for (const int64_t size : shape) n *= static_cast<size_t>(size);
    return n;
  }

  static std::string stored(float value, Dtype dtype) {
    const uint16_t half = dtype == Dtype::f16 ? to_f16(value) : to_bf16(value);
    if (dtype == Dtype::f32) return {reinterpret_cast<const char*>(&value), sizeof value};
    return {reinterpret_cast<const char*>(&half), sizeof half};
  }

  std::string config_;
  std::map<std::string, Stored> tensors_;
  std::map<std::string, std::string> metadata_{{"format", "pt"}};
};

/// Two layers of width 8, two heads of 4, one head of keys, a network of 12, 10 tokens.
inline TinyCheckpoint tiny_llama(const std::string& more = "") {
  TinyCheckpoint model{R"({"architectures":["LlamaForCausalLM"],"model_type":"llama","vocab_size":10,
    "hidden_size":8,"intermediate_size":12,"num_hidden_layers":2,"num_attention_heads":2,"num_key_value_heads":1)" +
                       more + "}"};
  model.add("model.embed_tokens.weight", {10, 8}).add("model.norm.weight", {8}).add("lm_head.weight", {10, 8});
  for (const std::string layer : {"model.layers.0.", "model.layers.1."}) {
    model.add(layer + "input_layernorm.weight", {8}).add(layer + "post_attention_layernorm.weight", {8});
    model.add(layer + "self_attn.q_proj.weight", {8, 8}).add(layer + "self_attn.k_proj.weight", {4, 8});
    model.add(layer + "self_attn.v_proj.weight", {4, 8}).add(layer + "self_attn.o_proj.weight", {8, 8});
    model.add(layer + "mlp.gate_proj.weight", {12, 8}).add(layer + "mlp.up_proj.weight", {12, 8});
    model.add(layer + "mlp.down_proj.weight", {8, 12});
  }
  return model;
}

/// All numbers of a tensor, whatever it is stored as.
inline std::vector<float> values(const ModelSource& model, std::string_view name) {
  const Tensor* tensor = model.find(name);
  return tensor ? tensor->values() : std::vector<float>{};
}

inline bool any_remark(const ModelSource& model, std::string_view part) {
  for (const std::string& remark : model.remarks())
    if (remark.find(part) != remark.npos) return true;
  return false;
}

}  // namespace snug::test
