#include "infer/layers/rope.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/parallel.hpp"

namespace snug::infer {
namespace {

/// M(f, k): what YaRN multiplies cos and sin with for a factor f.
float yarn_scale(float factor, float k) {
  return factor <= 1 ? 1.0f : 1.0f + 0.1f * k * std::log(factor);
}

/// The pair index at which `turns` full turns fit into the original context.
float correction(const Rope& rope, float turns) {
  const auto n = static_cast<float>(rope.dims);
  return n * std::log(static_cast<float>(rope.original_context) / (turns * 2 * std::numbers::pi_v<float>)) /
         (2 * std::log(rope.base));
}

struct Ramp {
  float low = 0, high = 0;
  /// 1 where the pair keeps its own frequency, 0 where it is interpolated.
  float mix(int64_t pair) const {
    const float y = (static_cast<float>(pair) - low) / std::max(0.001f, high - low);
    return 1 - std::min(1.0f, std::max(0.0f, y));
  }
};

Ramp yarn_ramp(const Rope& rope) {
  return {std::max(0.0f, std::floor(correction(rope, rope.beta_fast))),
          std::min(static_cast<float>(rope.dims - 1), std::ceil(correction(rope, rope.beta_slow)))};
}

}  // namespace

float yarn_magnitude(const RopeKeys& keys, bool deepseek) {
  if (!keys.yarn()) return keys.attn_factor;
  const float f = 1 / keys.frequency_scale();
  const float mu = keys.yarn_log_multiplier;
  const float kappa = deepseek && mu != 1 ? mu : 1;
  const float wanted = mu == 0 ? yarn_scale(f, 1) : yarn_scale(f, kappa) / yarn_scale(f, mu);
  return keys.attn_factor * wanted / (1 + 0.1f * std::log(f));
}

Rope make_rope(const RopeKeys& keys, RopeKind kind) {
  Rope rope;
  rope.kind = kind;
  rope.dims = keys.dims;
  rope.base = keys.base;
  rope.frequency_scale = keys.frequency_scale();
  rope.yarn = keys.yarn();
  rope.original_context = keys.original_context;
  rope.magnitude = yarn_magnitude(keys, false);
  return rope;
}

std::vector<uint8_t> still_pairs(const RopeKeys& keys, bool interleaved) {
  std::vector<int64_t> sections = keys.sections;
  sections.resize(4);
  const int64_t sum = sections[0] + sections[1] + sections[2] + sections[3];
  if (sum <= 0 || *std::ranges::min_element(sections) < 0) return {};
  std::vector<uint8_t> still;
  for (int64_t pair = 0; pair < keys.dims / 2; ++pair) {
    const int64_t at = pair % sum;
    // The interleaved axes take turns in the order t, h, w as long as each has pairs left.
    const bool turns = interleaved ? at < 3 * sections[static_cast<size_t>(at % 3)]
                                   : at < sections[0] + sections[1] + sections[2];
    still.push_back(!turns);
  }
  return still;
}

RopeTable rope_table(const Rope& rope, std::span<const int64_t> positions, int64_t context) {
  const auto count = static_cast<int64_t>(positions.size());
  RopeTable table{rope.dims / 2, {}, {}};
  table.cos.resize(static_cast<size_t>(count * table.pairs));
  table.sin.resize(table.cos.size());
  const std::vector<float>& factors =
      !rope.factors_long.empty() && context > rope.original_context ? rope.factors_long : rope.factors;
  const Ramp ramp = rope.yarn ? yarn_ramp(rope) : Ramp{};
  const float scale = rope.frequency_scale;
  const float magnitude = rope.yarn ? rope.magnitude * (1 + 0.1f * std::log(1 / scale)) : rope.magnitude;
  const float step = std::pow(rope.base, -2.0f / static_cast<float>(rope.dims));
  for (int64_t t = 0; t < count; ++t) {
    // The reference walks the frequencies by repeated f32 multiplication; at long contexts that is visible.
    auto turn = static_cast<float>(positions[static_cast<size_t>(t)]);
    for (int64_t i = 0; i < table.pairs; ++i, turn *= step) {
      const auto p = static_cast<size_t>(i);
      const float raw = factors.empty() ? turn : turn / factors[p];
      float angle = scale * raw;
      if (rope.yarn) angle = angle * (1 - ramp.mix(i)) + raw * ramp.mix(i);
      if (!rope.still.empty() && rope.still[p]) angle = 0;
      table.cos[static_cast<size_t>(t * table.pairs + i)] = std::cos(angle) * magnitude;
      table.sin[static_cast<size_t>(t * table.pairs + i)] = std::sin(angle) * magnitude;
    }
  }
  return table;
}

void rotate(const Rope& rope, const RopeTable& table, Activations& x, int64_t heads, int64_t head_dim,
            int64_t offset) {
  const int64_t pairs = table.pairs;
  const int64_t apart = rope.kind == RopeKind::norm ? 1 : pairs;
  const int64_t step = rope.kind == RopeKind::norm ? 2 : 1;
  parallel_for(
      x.count(),
      [&](int64_t t) {
        const float* cos = table.cos.data() + t * pairs;
        const float* sin = table.sin.data() + t * pairs;
        for (int64_t h = 0; h < heads; ++h) {
          float* head = x.at(t) + h * head_dim + offset;
          for (int64_t i = 0; i < pairs; ++i) {
            const float a = head[i * step], b = head[i * step + apart];
            head[i * step] = a * cos[i] - b * sin[i];
            head[i * step + apart] = a * sin[i] + b * cos[i];
          }
        }
      },
      8);
}

}  // namespace snug::infer
