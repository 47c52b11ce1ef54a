#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/roles.hpp"
#include "snug/model.hpp"

// How the keys of a GGUF file become the words of config.json, architecture by architecture.
namespace snug::mlx {

/// The keys of a model's architecture.
class Keys {
 public:
  explicit Keys(const ModelSource& model) : model_(model), shape_(shape_of(model)) {}

  const ModelSource& model() const { return model_; }
  const ModelShape& shape() const { return shape_; }
  int64_t layers() const { return shape_.layers - shape_.draft_layers; }  // that are run

  std::optional<int64_t> integer(std::string_view key) const { return model_.metadata().integer(full(key)); }
  std::optional<double> real(std::string_view key) const;  // in the digits that a person would write
  std::optional<std::string> text(std::string_view key) const;
  /// One number a layer, or one for all; none where it is missing.
  std::vector<int64_t> of_layers(std::string_view key) const;
  int64_t need_integer(std::string_view key) const;

  bool has(std::string_view tensor) const { return model_.find(tensor) != nullptr; }
  int64_t head_dim() const {
    return integer("attention.key_length").value_or(shape_.embedding / std::max<int64_t>(1, shape_.heads));
  }

  [[noreturn]] void refuse(const std::string& what) const;

 private:
  std::string full(std::string_view key) const;

  const ModelSource& model_;
  const ModelShape shape_;
};

/// A number that both call the same.
struct Word {
  std::string_view key, word;
  bool is_real = false;
};

/// What config.json says of one architecture.
struct ConfigClass {
  std::string_view architecture, model_type, name;  // GGUF's; mlx_lm's and transformers' class
  std::vector<Word> words = {};
  void (*special)(const Keys& keys, nlohmann::json& config) = nullptr;  // what is more than a number
};

/// The class of a model, by its architecture and what it is made of. Throws Error where it is none of those
/// known.
const ConfigClass& config_class(const Keys& keys);

/// rope_scaling, where the keys or tensors have any: YaRN, linear, Llama 3's divisors, Phi's factors.
void add_rope_scaling(const Keys& keys, nlohmann::json& config);

}  // namespace snug::mlx
