// The ways back through what every architecture begins and ends with.
#include "base/str.hpp"
#include "infer/architecture.hpp"
#include "infer/layers/ops.hpp"
#include "infer/reverse/ops.hpp"
#include "snug/error.hpp"

namespace snug::infer {

void Architecture::reverse_layer(Reverse&, int layer, const Activations&, Activations&) const {
  throw Error{str("block ", layer, " has no way back"), "", "ask reverses() first"};
}

Activations Architecture::reverse_head(const Reverse& reverse, const Activations& x,
                                       const LogitGradients& gradients) const {
  const Activations normed = rms_norm(x, norm_, rms_eps_);
  Activations logits = apply(reverse.step, head_, normed);
  if (logit_cap_ > 0) soft_cap(logits, logit_cap_);
  Activations g = gradients(logits);
  if (logit_cap_ > 0) reverse_soft_cap(logits, logit_cap_, g);
  return reverse_rms_norm(x, norm_, rms_eps_, reverse_linear(reverse, head_, normed, g));
}

void Architecture::reverse_embed(Reverse& reverse, const Activations& g) const {
  if (!reverse.hooks.on_look_up) return;
  Activations by = g;
  if (embedding_scale_ != 1) scale(by, embedding_scale_);
  reverse.hooks.on_look_up(*embedding_.weight, by);
}

}  // namespace snug::infer
