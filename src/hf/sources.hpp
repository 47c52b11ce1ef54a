#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hf/config.hpp"
#include "safetensors/checkpoint.hpp"
#include "snug/model.hpp"

namespace snug::hf {

/// A tensor of the text model, under the name it has in a checkpoint that holds nothing else.
struct Source {
  std::string name;                          // "layers.3.self_attn.q_proj.weight"
  const safetensors::Tensor* raw = nullptr;  // as stored
  /// What it means: raw itself where it is F32, F16 or BF16; other numbers as f32 and quantized weights decoded as
  /// bf16, made on reading. Nothing for packed bytes that only an architecture knows.
  std::optional<Tensor> weights;

  /// Error naming the tensor where it is packed bytes.
  const Tensor& need_weights() const;
  [[noreturn]] void refuse(const std::string& problem) const;
};

/// Another name for a tensor of a model with so many layers; null: the same.
using Rename = std::string (*)(const std::string& name, int64_t layers);

/// The name of a tensor within the part of a checkpoint that is wanted, or nothing for one of another part.
using PartName = std::optional<std::string> (*)(std::string_view name);

/// The tensors of the text model by name; those of other parts of a multimodal checkpoint are left out.
class Sources {
 public:
  /// Removes prefixes, drops what belongs to no text model (and says so in `remarks`), and pairs quantized weights
  /// with their scales. Throws Error where the checkpoint is quantized in a way that is not known.
  Sources(const safetensors::Checkpoint& checkpoint, const Config& config, Rename rename,
          std::vector<std::string>& remarks);

  /// Those of another part. A tensor of more than four dimensions has no weights, only raw bytes.
  Sources(const safetensors::Checkpoint& checkpoint, const Config& config, PartName part,
          std::vector<std::string>& remarks);

  const std::vector<Source>& all() const { return sources_; }  // by layer, then by name
  const Source* find(std::string_view name) const;             // nullptr if missing

 private:
  void finish(const Config& config, std::vector<std::string>& remarks);

  std::vector<Source> sources_;
  std::map<std::string, size_t, std::less<>> index_;
};

/// The name inside the text model, or nothing for a tensor of another part, or one that is never needed.
std::optional<std::string> text_model_name(std::string_view name);

/// The number of the layer in "layers.12.…"; -1 outside of layers.
int64_t layer_of_name(std::string_view name);

/// A stored tensor whose elements are plain numbers.
Tensor plain_tensor(const safetensors::Tensor& raw);

}  // namespace snug::hf
