#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "infer/hparams.hpp"
#include "infer/kv_cache.hpp"
#include "infer/layers/attention.hpp"
#include "infer/loader.hpp"
#include "infer/reverse/reverse.hpp"
#include "infer/step.hpp"

namespace snug::infer {

/// What every architecture is built from.
struct ArchitectureInputs {
  const ArchMetadata& keys;
  const Hparams& hp;
  Loader& loader;
};

/// A decoder: embedding, blocks, head. The blocks are the architecture's own; this base has the usual ends.
class Architecture {
 public:
  virtual ~Architecture() = default;

  virtual Activations embed(Batch& step) const;                          // [tokens, embedding]
  virtual void layer(Batch& step, int layer, Activations& x) const = 0;  // x: residual stream, in place
  virtual Activations head(const Batch& step, const Activations& x) const;      // [rows, vocabulary] logits

  virtual LayerCacheShape memory(int layer) const = 0;
  /// The latest block at or before `layer` from which a run can start again with nothing but hidden states.
  virtual int restart(int layer) const { return layer; }

  /// Whether reverse_layer() is there for the block.
  virtual bool reverses(int) const { return false; }
  /// Whether later blocks use what the block stored: Reverse::lender is then asked for the stream before it.
  virtual bool lends(int) const { return false; }
  /// x [tokens, embedding]: the residual stream before the block, of a whole sequence. g [draws * tokens,
  /// embedding]: gradients by the stream behind it, made those by the stream before it.
  virtual void reverse_layer(Reverse& reverse, int layer, const Activations& x, Activations& g) const;
  /// The gradients by logits [tokens, vocabulary], of all draws.
  using LogitGradients = std::function<Activations(const Activations& logits)>;
  /// By x, the residual stream behind the last block.
  Activations reverse_head(const Reverse& reverse, const Activations& x, const LogitGradients& gradients) const;
  /// Shows the look-up of the embeddings; g: gradients by what embed() returned.
  virtual void reverse_embed(Reverse& reverse, const Activations& g) const;

 protected:
  Architecture() = default;
  enum class Head { optional, required };
  /// Loads token_embd, output_norm and output (token_embd where it is missing).
  Architecture(const ArchitectureInputs& source, Head head);

  float embedding_scale_ = 1;
  float logit_cap_ = 0;

 private:
  Linear embedding_, head_;
  std::vector<float> norm_;
  float rms_eps_ = 0;
};

/// What most architectures have in common.
AttentionShape generic_attention(const Hparams& hp, int64_t layer, const Rope& rope);
/// sliding_window_pattern: a list of which layers slide, or a period, the last layer of each being full.
bool is_sliding(const ArchMetadata& keys, int64_t blocks, int64_t layer, int64_t default_period);
std::vector<float> load_norm(const ArchitectureInputs& source, int64_t layer, std::string_view base);

/// Throws Error that names the known ones.
std::unique_ptr<Architecture> make_architecture(const ArchitectureInputs& source);
std::vector<std::string_view> known_architectures();

}  // namespace snug::infer
