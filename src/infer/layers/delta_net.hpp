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

  Activations operator()(Batch& step, const Activations& a) const;
  LayerCacheShape memory() const;

 private:
  friend class DeltaNetWay;

  int64_t key_width() const { return shape_.key_heads * shape_.dim; }
  int64_t value_width() const { return shape_.value_heads * shape_.dim; }
  int64_t channels() const { return 2 * key_width() + value_width(); }

  struct Inputs {
    Activations qkv, z;
  };
  Inputs project(const Batch& step, const Activations& a) const;
  struct Gates {
    Activations decay, beta;
  };  // [tokens, value heads]
  Gates gate_inputs(const Batch& step, const Activations& a) const;  // before sigmoid and decay
  Gates gates(Gates inputs) const;
  int64_t key_head(int64_t head) const {
    return shape_.order == HeadOrder::tiled ? head % shape_.key_heads
                                            : head / (shape_.value_heads / shape_.key_heads);
  }
  void convolve(const SequenceSlice& lane, const Activations& u, Activations& y) const;
  void run_head(const SequenceSlice& lane, const Activations& qkv, const Gates& gates, int64_t head,
                Activations& out) const;

  DeltaNetShape shape_;
  int64_t layer_ = 0;
  Linear qkv_, z_, in_, beta_alpha_, beta_, alpha_, out_;
  std::vector<float> conv_, dt_, a_, norm_;
};

}  // namespace snug::infer
