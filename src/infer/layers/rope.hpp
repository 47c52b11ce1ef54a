#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "infer/hparams.hpp"
#include "infer/rows.hpp"

namespace snug::infer {

enum class RopeKind {
  norm,  // pairs (2i, 2i+1)
  neox,  // pairs (i, i + dims/2)
};

/// A rotary position embedding with all its scalings (§1.4 of the reference).
struct Rope {
  RopeKind kind = RopeKind::neox;
  int64_t dims = 0;  // rotated elements of a head, even; the rest stay as they are
  float base = 10000, frequency_scale = 1;
  std::vector<float> factors;       // [dims/2] angles are divided by them, or empty
  std::vector<float> factors_long;  // used instead of `factors` where the context is longer than the original
  std::vector<uint8_t> still;  // [dims/2] pairs that do not turn (fourth axis of multi-axis RoPE), or empty
  bool yarn = false;
  float beta_fast = 32, beta_slow = 1;
  int64_t original_context = 0;
  float magnitude = 1;  // of cos and sin, before YaRN's own 1 + 0.1 ln(factor)
};

/// From the file's keys.
Rope make_rope(const RopeKeys& keys, RopeKind kind);

/// For multi-axis RoPE on text, where three axes are the position and the fourth is 0: which pairs do not
/// turn. sections [4]: pairs per axis, in runs or (interleaved) taking turns. Empty where there are no
/// sections.
std::vector<uint8_t> still_pairs(const RopeKeys& keys, bool interleaved);

/// The factor a of §1.4: what `magnitude` is for YaRN with log multiplier mu, whose own part is divided out.
float yarn_magnitude(const RopeKeys& keys, bool deepseek);

/// cos and sin of some positions: [positions, dims/2] each.
struct RopeTable {
  int64_t pairs = 0;
  std::vector<float> cos, sin;
};
RopeTable rope_table(const Rope& rope, std::span<const int64_t> positions, int64_t context);

/// Rotates elements [offset, offset + dims) of each of the `heads` heads of size `head_dim` in every row.
void rotate(const Rope& rope, const RopeTable& table, Activations& x, int64_t heads, int64_t head_dim,
            int64_t offset = 0);

}  // namespace snug::infer
