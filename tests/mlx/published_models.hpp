#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/str.hpp"

namespace snug::test {

/// A module of a published model that can be quantized.
struct ModuleShape {
  std::string path;
  std::vector<int64_t> shape;  // row-major: outputs, inputs; of stacked experts first their number

  int64_t cols() const { return shape.back(); }
  int64_t weights() const {
    int64_t product = 1;
    for (const int64_t size : shape) product *= size;
    return product;
  }
};

struct ModuleTree {
  std::vector<ModuleShape> modules;
  int64_t small_weights = 0;  // of norms and the like: never quantized

  void add(std::string path, std::vector<int64_t> shape) { modules.push_back({std::move(path), std::move(shape)}); }
};

/// The text model of Gemma 4 26B-A4B: every sixth layer has full attention, whose keys are its values.
inline ModuleTree gemma4_26b() {
  constexpr int64_t kLayers = 30, kHidden = 2816, kDense = 2112, kExpert = 704, kExperts = 128;
  ModuleTree tree{{}, 700446};
  tree.add("language_model.model.embed_tokens", {262144, kHidden});
  for (int64_t l = 0; l < kLayers; ++l) {
    const bool full = l % 6 == 5;
    const std::string layer = str("language_model.model.layers.", l, "."), experts = layer + "experts.switch_glu.";
    const int64_t queries = full ? 8192 : 4096, keys = full ? 1024 : 2048;
    tree.add(layer + "self_attn.q_proj", {queries, kHidden});
    tree.add(layer + "self_attn.k_proj", {keys, kHidden});
    if (!full) tree.add(layer + "self_attn.v_proj", {keys, kHidden});
    tree.add(layer + "self_attn.o_proj", {kHidden, queries});
    tree.add(layer + "mlp.gate_proj", {kDense, kHidden});
    tree.add(layer + "mlp.up_proj", {kDense, kHidden});
    tree.add(layer + "mlp.down_proj", {kHidden, kDense});
    tree.add(layer + "router.proj", {kExperts, kHidden});
    tree.add(experts + "gate_proj", {kExperts, kExpert, kHidden});
    tree.add(experts + "up_proj", {kExperts, kExpert, kHidden});
    tree.add(experts + "down_proj", {kExperts, kHidden, kExpert});
  }
  return tree;
}

/// Qwen3.6-35B-A3B: every fourth layer has full attention with gates among its queries, the others delta nets.
inline ModuleTree qwen36_35b() {
  constexpr int64_t kLayers = 40, kHidden = 2048, kExpert = 512, kExperts = 256, kVocabulary = 248320;
  constexpr int64_t kKeys = 16 * 128, kValues = 32 * 128, kHeads = 32;
  ModuleTree tree{{}, kHidden};
  tree.add("language_model.model.embed_tokens", {kVocabulary, kHidden});
  tree.add("language_model.lm_head", {kVocabulary, kHidden});
  for (int64_t l = 0; l < kLayers; ++l) {
    const std::string layer = str("language_model.model.layers.", l, ".");
    const auto add = [&](const std::string& name, std::vector<int64_t> shape) { tree.add(layer + name, std::move(shape)); };
    if (l % 4 == 3) {
      add("self_attn.q_proj", {2 * 4096, kHidden});
      add("self_attn.k_proj", {512, kHidden});
      add("self_attn.v_proj", {512, kHidden});
      add("self_attn.o_proj", {kHidden, 4096});
      tree.small_weights += 2 * 256;  // norms of queries and keys
    } else {
      add("linear_attn.in_proj_qkv", {2 * kKeys + kValues, kHidden});
      add("linear_attn.in_proj_z", {kValues, kHidden});
      add("linear_attn.in_proj_b", {kHeads, kHidden});
      add("linear_attn.in_proj_a", {kHeads, kHidden});
      add("linear_attn.out_proj", {kHidden, kValues});
      tree.small_weights += 4 * (2 * kKeys + kValues) + 2 * kHeads + 128;  // convolution, decay and step, norm
    }
    tree.small_weights += 2 * kHidden;
    add("mlp.gate", {kExperts, kHidden});
    add("mlp.shared_expert_gate", {1, kHidden});
    for (const std::string part : {"mlp.switch_mlp.", "mlp.shared_expert."}) {
      const std::vector<int64_t> up{kExpert, kHidden}, down{kHidden, kExpert};
      const auto stack = [&](std::vector<int64_t> shape) {
        if (part == "mlp.switch_mlp.") shape.insert(shape.begin(), kExperts);
        return shape;
      };
      add(part + "gate_proj", stack(up));
      add(part + "up_proj", stack(up));
      add(part + "down_proj", stack(down));
    }
  }
  return tree;
}

}  // namespace snug::test
