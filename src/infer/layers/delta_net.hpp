#pragma once

#include <cstdint>
#include <vector>

#include "infer/kv_cache.hpp"
#include "infer/loader.hpp"
#include "infer/step.hpp"

namespace snug::infer {

/// Which key head a value head reads.
enum class HeadOrder {
  grouped,  // h / (value heads / key heads): qwen3next
  tiled,    // h mod key heads: qwen35
};

struct DeltaNetShape {
  int64_t embedding = 0;
  int64_t kernel = 0;  // width of the causal convolution
  int64_t dim = 0;     // of every head
  int64_t key_heads = 0, value_heads = 0;
  HeadOrder order = HeadOrder::grouped;
  float eps = 0;
};

/// The gated delta rule: linear attention whose state per value head is a matrix (§2.14 of the reference).
class DeltaNet {
 public:
  DeltaNet() = default;
  DeltaNet(Loader& loader, int64_t layer, const DeltaNetShape& shape);

  Rows operator()(Step& step, const Rows& a) const;
  LayerMemory memory() const;

 private:
  friend class DeltaNetWay;

  int64_t key_width() const { return shape_.key_heads * shape_.dim; }
  int64_t value_width() const { return shape_.value_heads * shape_.dim; }
  int64_t channels() const { return 2 * key_width() + value_width(); }

  struct Inputs {
    Rows qkv, z;
  };
  Inputs project(const Step& step, const Rows& a) const;
  struct Gates {
    Rows decay, beta;
  };  // [tokens, value heads]
  Gates gate_inputs(const Step& step, const Rows& a) const;  // before sigmoid and decay
  Gates gates(Gates inputs) const;
  int64_t key_head(int64_t head) const {
    return shape_.order == HeadOrder::tiled ? head % shape_.key_heads
                                            : head / (shape_.value_heads / shape_.key_heads);
  }
  void convolve(const Lane& lane, const Rows& u, Rows& y) const;
  void run_head(const Lane& lane, const Rows& qkv, const Gates& gates, int64_t head, Rows& out) const;

  DeltaNetShape shape_;
  int64_t layer_ = 0;
  Linear qkv_, z_, in_, beta_alpha_, beta_, alpha_, out_;
  std::vector<float> conv_, dt_, a_, norm_;
};

}  // namespace snug::infer
