#pragma once

#include <random>
#include <string>

#include "recipe/saved_profile.hpp"

namespace snug::test {

/// A small llama of `layers` layers, with losses drawn by `seed`: every tensor in four formats and as it is.
inline SavedProfile random_profile(uint64_t seed, int layers = 2) {
  std::mt19937_64 random{seed};
  std::uniform_real_distribution<double> any{0.5, 1.5};
  SavedProfile saved{"small", "llama", layers, 4, 4, 0, 4096, {}};
  saved.profile.model_digest = std::string(32, 'a');
  saved.profile.state_digest = std::string(32, 'c');
  const auto add = [&](const std::string& name, int layer) {
    ProfiledTensor t;
    t.name = name;
    t.role = "other";
    t.layer = layer;
    t.cols = 256;
    t.rows = 64;
    t.source = FormatId::f16;
    t.alpha = any(random) * 0.1;
    t.alpha_error = t.alpha * 0.3 * (any(random) - 0.5);
    t.alpha_from = layer == 0 ? "prior" : "probe";
    t.weighted = true;
    for (const auto& [format, error] : {std::pair{FormatId::q2_K, 0.09},
                                        {FormatId::q3_K, 0.03},
                                        {FormatId::q4_K, 0.006},
                                        {FormatId::q6_K, 0.0004},
                                        {FormatId::f16, 0.0}}) {
      const double rho = error * any(random);
      t.candidates.push_back({format, find_format(format)->row_bytes(t.cols) * t.rows, rho, 0.01 * rho,
                              pico_nats(t.alpha * rho)});
    }
    saved.profile.tensors.push_back(std::move(t));
  };
  add("token_embd.weight", -1);
  add("output.weight", -1);
  for (int layer = 0; layer < layers; ++layer)
    for (const char* part : {"attn_q", "ffn_down"})
      add("blk." + std::to_string(layer) + "." + part + ".weight", layer);
  saved.profile.fixed.push_back({"output_norm.weight", FormatId::f32, 256, 1024});
  return saved;
}

}  // namespace snug::test
