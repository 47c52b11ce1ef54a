#pragma once

#include <cmath>
#include <random>
#include <string>

#include "snug/recipe.hpp"

namespace snug::test {

/// A recipe with every field set, drawn by `seed`; layers x {attn_q, ffn_down} behind token_embd.
inline Recipe random_recipe(uint64_t seed, int layers = 6) {
  std::mt19937_64 random{seed};
  const auto below = [&](uint64_t n) { return random() % n; };
  const auto loss = [&] {
    return std::ldexp(static_cast<double>(random() >> 11), -70 - static_cast<int>(below(40)));
  };
  constexpr FormatId kFormats[] = {FormatId::q2_K, FormatId::q4_K, FormatId::iq3_s, FormatId::q8_0,
                                   FormatId::f16,  FormatId::q2_0, FormatId::iq4_xs};
  Recipe r;
  r.made_by = "snug 0.1.0";
  r.architecture = "llama";
  r.model_name = below(2) ? "Tiny \"quoted\" \\ model" : "Größe 模型";
  r.model_digest = std::string(32, "0123456789abcdef"[below(16)]);
  if (below(2)) r.imatrix_digest = std::string(32, 'b');
  r.state_digest = std::string(32, 'c');
  r.method = "optimal";
  r.effort = below(2) ? Effort::max : Effort::normal;
  r.budget_kind = below(2) ? BudgetKind::file : BudgetKind::tensors;
  r.budget_bytes = static_cast<int64_t>(below(uint64_t{1} << 62));
  r.split_bytes = static_cast<int64_t>(below(3)) * 1'000'000'000;
  r.proven_optimal = below(2) == 0;
  const auto add = [&](std::string name, bool copied) {
    RecipeTensor t{std::move(name), copied ? FormatId::f32 : kFormats[below(std::size(kFormats))],
                   static_cast<int64_t>(below(1'000'000'000)) * 32, copied ? 0.0 : loss(), copied};
    r.tensor_bytes += t.bytes;
    r.weights += t.bytes;
    r.predicted_loss += t.loss;
    r.tensors.push_back(std::move(t));
  };
  add("token_embd.weight", false);
  add("output_norm.weight", true);
  for (int layer = 0; layer < layers; ++layer)
    for (const char* part : {"attn_norm", "attn_q", "ffn_down", "ffn_gate_exps"})
      add("blk." + std::to_string(layer) + "." + part + ".weight", std::string{part} == "attn_norm");
  r.file_bytes = r.tensor_bytes + 4096;
  r.certified_bound = r.predicted_loss * 0.999;
  if (seed % 2) r.left_out = {{"error feedback for inputs wider than 64", "too little \"memory\"", "twice the loss"}};
  if (seed % 3 == 1) r.folds = {{"blk.0.attn_norm", 0.25, 1}, {"blk.0.ffn_up", 0, 0.5}};
  if (below(2)) r.limits = "--max-formats 3, --pin";
  if (!r.imatrix_digest.empty()) r.tensors[0].unweighted = below(2) == 0;
  return r;
}

}  // namespace snug::test
