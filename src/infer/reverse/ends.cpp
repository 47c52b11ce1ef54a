// The ways back through what every architecture begins and ends with.
#include "base/str.hpp"
#include "infer/architecture.hpp"
#include "infer/layers/ops.hpp"
#include "infer/reverse/ops.hpp"
#include "snug/error.hpp"

namespace snug::infer {

void Architecture::reverse_layer(Reverse&, int layer, const Rows&, Rows&) const {
  throw Error{str("block ", layer, " has no way back"), "", "ask reverses() first"};
}

Rows Architecture::reverse_head(const Reverse& reverse, const Rows& x, const LogitGradients& gradients) const {
  const Rows normed = rms_norm(x, norm_, rms_eps_);
  Rows logits = apply(reverse.step, head_, normed);
  if (logit_cap_ > 0) soft_cap(logits, logit_cap_);
  Rows g = gradients(logits);
  if (logit_cap_ > 0) reverse_soft_cap(logits, logit_cap_, g);
  return reverse_rms_norm(x, norm_, rms_eps_, reverse_linear(reverse, head_, normed, g));
}

void Architecture::reverse_embed(Reverse& reverse, const Rows& g) const {
  if (!reverse.hooks.on_look_up) return;
  Rows by = g;
  if (embedding_scale_ != 1) scale(by, embedding_scale_);
  reverse.hooks.on_look_up(*embedding_.weight, by);
}

}  // namespace snug::infer
