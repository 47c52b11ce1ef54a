#include "audit/config_claims.hpp"

#include "base/json_reader.hpp"
#include "base/str.hpp"

namespace snug {
namespace {

using nlohmann::json;

void check_module(const std::string& path, const json& said, const safetensors::Checkpoint& weights,
                  std::vector<std::string>& found) {
  const bool is_quantized = weights.find(path + ".scales") != nullptr;
  const bool says_so = said.is_object() || said == true;
  if (says_so && !is_quantized)
    found.push_back(str("config.json says that ", quoted(path), " is quantized; it has no scales, and mlx_lm does not load it"));
  if (said == false && is_quantized)
    found.push_back(str("config.json says that ", quoted(path), " is not quantized; it has scales"));
}

void check_nulls(const std::string& path, const json& value, std::vector<std::string>& found) {
  if (value.is_null()) found.push_back(str("the quantization block has null at ", quoted(path), ", which mlx-swift-lm cannot read"));
  if (value.is_object())
    for (const auto& [key, inner] : value.items()) check_nulls(str(path, path.empty() ? "" : "/", key), inner, found);
}

void check_tied_head(const hf::Config& config, const safetensors::Checkpoint& weights, std::vector<std::string>& found) {
  if (!config.flag({"tie_word_embeddings"}).value_or(false)) return;
  for (const safetensors::Tensor& tensor : weights.tensors())
    if (tensor.name.find("lm_head.") != tensor.name.npos) {
      found.push_back(str("config.json ties the head to the embedding; ", quoted(tensor.name), " is stored"));
      return;
    }
}

}  // namespace

std::vector<std::string> contradictions_of_config(const hf::Config& config, const safetensors::Checkpoint& weights) {
  std::vector<std::string> found;
  const auto block = config.file().find("quantization");
  if (block != config.file().end() && block->is_object()) {
    for (const auto& [key, said] : block->items())
      if (said.is_object() || said.is_boolean()) check_module(key, said, weights, found);
    check_nulls("", *block, found);
    const auto copy = config.file().find("quantization_config");
    if (copy != config.file().end() && *copy != *block)
      found.push_back("config.json's quantization and quantization_config differ; loaders take one or the other");
  }
  check_tied_head(config, weights, found);
  return found;
}

}  // namespace snug
