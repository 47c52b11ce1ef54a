#include "mlx/shortcomings.hpp"

#include <algorithm>

#include "base/str.hpp"
#include "model/roles.hpp"

namespace snug::mlx {

bool ignores_rope_scaling(std::string_view architecture, int64_t experts) {
  constexpr std::string_view kPlain[] = {"qwen2moe", "qwen3moe", "glm4moe", "gemma2"};
  return std::ranges::find(kPlain, architecture) != std::end(kPlain) ||
         (architecture == "llama" && experts > 0);
}

std::vector<std::string> shortcomings(const ModelSource& model) {
  const ModelShape shape = shape_of(model);
  const auto key = [&](std::string_view name) { return str(shape.architecture, ".", name); };
  const Metadata& metadata = model.metadata();
  std::vector<std::string> all;
  const std::string_view scaling = metadata.text(key("rope.scaling.type")).value_or("none");
  const bool is_scaled =
      scaling != "none" || (model.find("rope_freqs.weight") && shape.architecture == "llama");
  if (is_scaled && ignores_rope_scaling(shape.architecture, shape.experts))
    all.push_back(
        str("mlx_lm does not scale rotary frequencies (", scaling == "none" ? "llama3" : scaling,
            ") in its class of this architecture: it computes something else, of long texts most of all"));
  const int64_t window = metadata.integer(key("attention.sliding_window")).value_or(0);
  if (shape.architecture == "gemma2" && window > 0 && window < shape.context)
    all.push_back(str("mlx_lm gives Gemma 2 no window of attention: beyond ", window,
                      " tokens it computes something else"));
  if (shape.architecture == "deepseek2" && metadata.boolean(key("expert_weights_norm")).value_or(false) &&
      std::ranges::none_of(model.tensors(),
                           [](const Tensor& t) { return t.name.ends_with("exp_probs_b.bias"); }))
    all.emplace_back(
        "mlx_lm does not normalise the weights of DeepSeek V2's experts, as this model wants it");
  return all;
}

}  // namespace snug::mlx
