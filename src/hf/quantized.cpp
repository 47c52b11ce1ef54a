// Checkpoints that their publisher has quantized: by which method, and which weights belong to which scales.
#include "hf/quantized.hpp"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "base/json_reader.hpp"
#include "base/str.hpp"
#include "hf/mlx_codes.hpp"
#include "hf/packed_codes.hpp"
#include "hf/scaled_codes.hpp"

namespace snug::hf {
namespace {

using nlohmann::json;

/// A method of quantizing, as config.json describes it.
struct Method {
  std::string name, format;
  std::vector<int64_t> block;  // rows and columns to a scale; none: a row, or all
  int bits = 0;
};

constexpr std::string_view kActivationScales[] = {
    ".activation_scale", "_activation_scale", ".input_scale", ".output_scale",
    ".k_scale",          ".v_scale",          ".qscale_act",  ".input_global_scale",
};

[[noreturn]] void refuse_method(const Config& config, const std::string& method) {
  config.refuse(str("the checkpoint is quantized by ", quoted(method), ", which snug cannot read"),
                "fetch the checkpoint it was made from; known are fp8, mxfp4 of gpt-oss, and compressed-tensors "
                "float-, int- and pack-quantized");
}

std::vector<int64_t> whole_numbers(const json& list) {
  std::vector<int64_t> numbers;
  for (const json& element : list.is_array() ? list : json::array())
    if (element.is_number_integer()) numbers.push_back(element.get<int64_t>());
  return numbers;
}

/// The "weights" part of the only group of a compressed-tensors configuration.
json weights_scheme(const Config& config, const json& quantization) {
  const json groups = quantization.value("config_groups", json::object());
  if (!groups.is_object() || groups.size() != 1 || !groups.begin()->is_object() ||
      !groups.begin()->contains("weights") || !(*groups.begin())["weights"].is_object())
    refuse_method(config, "compressed-tensors with several schemes");
  return (*groups.begin())["weights"];
}

void read_compressed(const Config& config, const json& quantization, Method& method) {
  constexpr std::string_view kKnown[] = {"float-quantized", "int-quantized", "naive-quantized", "pack-quantized"};
  method.format = quantization.value("format", std::string{});
  if (std::ranges::find(kKnown, method.format) == std::end(kKnown))
    refuse_method(config, str("compressed-tensors, ", method.format));
  const json weights = weights_scheme(config, quantization);
  if (weights.contains("num_bits") && weights["num_bits"].is_number_integer()) method.bits = weights["num_bits"];
  if (weights.contains("block_structure")) method.block = whole_numbers(weights["block_structure"]);
  if (weights.contains("group_size") && weights["group_size"].is_number_integer() && weights["group_size"] > 0)
    method.block = {1, weights["group_size"].get<int64_t>()};
  if (method.format == "pack-quantized" && (method.bits < 1 || method.bits > 8))
    refuse_method(config, str("compressed-tensors, ", method.bits, " bits"));
}

Method read_method(const Config& config, const json& quantization) try {
  Method method;
  method.name = quantization.value("quant_method", std::string{"an unnamed method"});
  if (method.name == "fp8") {
    if (quantization.contains("weight_block_size")) method.block = whole_numbers(quantization["weight_block_size"]);
  } else if (method.name == "compressed-tensors") {
    read_compressed(config, quantization, method);
  } else if (method.name != "mxfp4" || config.model_type() != "gpt_oss") {
    refuse_method(config, method.name);
  }
  return method;
} catch (const json::exception&) {
  config.refuse("quantization_config has a value of another kind than expected");
}

class Pairing {
 public:
  Pairing(std::vector<Source>& sources, Method method) : sources_(sources), method_(std::move(method)) {
    for (size_t i = 0; i < sources_.size(); ++i) index_[sources_[i].name] = i;
  }

  size_t run() {
    for (size_t i = 0, count = sources_.size(); i < count; ++i)
      if (method_.format == "pack-quantized")
        unpack(i);
      else
        scale(i);
    std::erase_if(sources_, [&](const Source& source) { return is_done(source.name); });
    return decoded_;
  }

 private:
  const Source* find(const std::string& name) const {
    const auto found = index_.find(name);
    return found == index_.end() ? nullptr : &sources_[found->second];
  }

  bool is_done(const std::string& name) const {
    const auto ends = [&](std::string_view end) { return name.ends_with(end); };
    return done_.contains(name) || std::ranges::any_of(kActivationScales, ends);
  }

  void scale(size_t i) {
    Source& weight = sources_[i];
    const Source* factors = find(weight.name + (method_.name == "fp8" ? "_scale_inv" : "_scale"));
    if (!factors) return;
    if (find(weight.name + "_zero_point")) weight.refuse(str("the tensor ", quoted(weight.name), " has zero points"));
    weight.weights = scaled_codes(weight, *factors, method_.block);
    done_.insert(factors->name);
    ++decoded_;
  }

  void unpack(size_t i) {
    constexpr std::string_view kEnd = "_packed";
    if (!sources_[i].name.ends_with(kEnd)) return;
    const std::string name = sources_[i].name.substr(0, sources_[i].name.size() - kEnd.size());
    const PackedParts parts{&sources_[i], find(name + "_scale"), find(name + "_shape"), find(name + "_zero_point")};
    if (!parts.scale || !parts.shape || find(name + "_g_idx"))
      sources_[i].refuse(str("the packed tensor ", quoted(sources_[i].name), " lacks its scales or its shape, or has "
                             "its columns in another order"));
    Tensor weights = unpacked(parts, method_.bits);
    for (const char* end : {"_scale", "_shape", "_zero_point"}) done_.insert(name + end);
    sources_[i].weights = std::move(weights);
    sources_[i].name = name;
    ++decoded_;
  }

  std::vector<Source>& sources_;
  Method method_;
  std::unordered_map<std::string, size_t> index_;
  std::unordered_set<std::string> done_;  // names of scales and the like, which become no tensors
  size_t decoded_ = 0;
};

}  // namespace

void decode_quantized(std::vector<Source>& sources, const Config& config, std::vector<std::string>& remarks) {
  if (has_mlx_quantization(config)) return join_mlx_codes(sources, config);
  const json* quantization = config.find({"quantization_config"});
  if (!quantization) return;
  if (!quantization->is_object()) config.refuse("quantization_config is no object");
  const Method method = read_method(config, *quantization);
  if (method.name == "mxfp4") return;
  const size_t decoded = Pairing{sources, method}.run();
  remarks.push_back(str("the checkpoint is quantized (", method.name, method.format.empty() ? "" : ", ", method.format,
                        "); ", decoded, " tensors are decoded to bf16 on reading"));
}

}  // namespace snug::hf
