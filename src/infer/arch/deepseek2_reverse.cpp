#include <utility>

#include "infer/arch/deepseek2.hpp"
#include "infer/layers/attention.hpp"
#include "infer/reverse/columns.hpp"
#include "infer/reverse/ops.hpp"

namespace snug::infer {

class DeepSeek2::AttentionWay {
 public:
  AttentionWay(const DeepSeek2& model, Reverse& reverse, int layer, Activations a)
      : model_{model},
        reverse_{reverse},
        block_{model.blocks_[static_cast<size_t>(layer)]},
        a_{std::move(a)} {
    const Batch& step = reverse.step;
    if (!block_.q) {
      low_ = apply(step, block_.q_a, a_);
      normed_low_ = rms_norm(low_, block_.q_a_norm, model.eps_);
    }
    q_ = block_.q ? apply(step, block_.q, a_) : apply(step, block_.q_b, normed_low_);
    rotate(model.rope_, table(), q_, model.heads_, model.key_dim(), model.plain_);
    if (block_.kv_b) model.temper(step, q_);
    const Activations z = apply(step, block_.kv_a, a_);
    unnormed_ = columns(z, 0, model.latent_);
    latent_ = rms_norm(unnormed_, block_.kv_a_norm, model.eps_);
    Activations rotated = columns(z, model.latent_, model.rotated_);
    rotate(model.rope_, table(), rotated, 1, model.rotated_);
    attend_to(rotated);
    result_ = apply(step, block_.out, o_);
  }

  const Activations& result() const { return result_; }

  /// By a, from g by the result.
  Activations back(const Activations& g) const {
    const Activations by_o = reverse_linear(reverse_, block_.out, o_, g);
    Gradients by{Activations(g.count(), q_.width()), Activations(g.count(), model_.latent_),
                 Activations(g.count(), model_.rotated_)};
    block_.kv_b ? plain_back(by_o, by) : latent_back(by_o, by);
    reverse_rotate(model_.rope_, table(), by.q, model_.heads_, model_.key_dim(), model_.plain_);
    reverse_rotate(model_.rope_, table(), by.rotated, 1, model_.rotated_);
    const Activations by_unnormed = reverse_rms_norm(unnormed_, block_.kv_a_norm, model_.eps_, by.latent);
    Activations out = reverse_linear(reverse_, block_.kv_a, a_, side_by_side({&by_unnormed, &by.rotated}));
    add(out, queries_back(by.q));
    return out;
  }

 private:
  struct Gradients {
    Activations q, latent, rotated;
  };

  const RopeTable& table() const { return reverse_.step.table(model_.rope_); }

  void attend_to(const Activations& rotated) {
    const Batch& step = reverse_.step;
    const AttendArgs args = model_.attend_args(static_cast<bool>(block_.kv_b), Compute::exact);
    if (block_.kv_b) {
      auto [keys, values] = model_.plain_keys(apply(step, block_.kv_b, latent_), rotated);
      heads_ = ChunkAttention{args, q_, std::move(keys), std::move(values)};
      o_ = heads_.output();
      return;
    }
    heads_ = ChunkAttention{args, model_.latent_queries(step, block_, q_), side_by_side({&latent_, &rotated}),
                            latent_};
    seen_ = heads_.output();
    o_ = Activations(a_.count(), model_.heads_ * model_.value_dim_);
    for (int64_t h = 0; h < model_.heads_; ++h)
      put(o_, h * model_.value_dim_, apply(step, block_.v_b, seen_by(h), h), 0, model_.value_dim_);
  }

  Activations seen_by(int64_t h) const { return columns(seen_, h * model_.latent_, model_.latent_); }

  void latent_back(const Activations& by_o, Gradients& by) const {
    const int64_t latent = model_.latent_, row = latent + model_.rotated_, dim = model_.key_dim();
    Activations by_seen(by_o.count(), model_.heads_ * latent);
    for (int64_t h = 0; h < model_.heads_; ++h)
      put(by_seen, h * latent,
          reverse_linear(reverse_, block_.v_b, seen_by(h), columns(by_o, h * model_.value_dim_, model_.value_dim_), h),
          0, latent);
    auto [q, k, v] = heads_.reverse(by_seen);
    model_.temper(reverse_.step, q);
    for (int64_t h = 0; h < model_.heads_; ++h) {
      put(by.q, h * dim,
          reverse_linear(reverse_, block_.k_b, columns(q_, h * dim, model_.plain_), columns(q, h * row, latent), h), 0,
          model_.plain_);
      put(by.q, h * dim + model_.plain_, q, h * row + latent, model_.rotated_);
    }
    by.latent = std::move(v);
    add_columns(by.latent, k, 0);
    add_columns(by.rotated, k, latent);
  }

  void plain_back(const Activations& by_o, Gradients& by) const {
    auto [q, k, v] = heads_.reverse(by_o);
    model_.temper(reverse_.step, q);
    by.q = std::move(q);
    const int64_t width = model_.plain_ + model_.value_dim_, dim = model_.key_dim();
    Activations by_kv(by_o.count(), model_.heads_ * width);
    for (int64_t h = 0; h < model_.heads_; ++h) {
      put(by_kv, h * width, k, h * dim, model_.plain_);
      put(by_kv, h * width + model_.plain_, v, h * model_.value_dim_, model_.value_dim_);
      add_columns(by.rotated, k, h * dim + model_.plain_);
    }
    by.latent = reverse_linear(reverse_, block_.kv_b, latent_, by_kv);
  }

  Activations queries_back(const Activations& by_q) const {
    if (block_.q) return reverse_linear(reverse_, block_.q, a_, by_q);
    const Activations by_normed = reverse_linear(reverse_, block_.q_b, normed_low_, by_q);
    return reverse_linear(reverse_, block_.q_a, a_,
                          reverse_rms_norm(low_, block_.q_a_norm, model_.eps_, by_normed));
  }

  const DeepSeek2& model_;
  Reverse& reverse_;
  const DeepSeek2Block& block_;
  Activations a_, low_, normed_low_, q_;  // q_: as it goes into k_b or attends
  Activations unnormed_, latent_;
  ChunkAttention heads_;
  Activations seen_, o_, result_;
};

void DeepSeek2::reverse_layer(Reverse& reverse, int layer, const Activations& x, Activations& g) const {
  const DeepSeek2Block& block = blocks_[static_cast<size_t>(layer)];
  const AttentionWay attention{*this, reverse, layer, rms_norm(x, block.attn_norm, eps_)};
  Activations between = x;
  add(between, attention.result());
  const Activations by_ffn = block.ffn.reverse(reverse, rms_norm(between, block.ffn_norm, eps_), g);
  add(g, reverse_rms_norm(between, block.ffn_norm, eps_, by_ffn));
  add(g, reverse_rms_norm(x, block.attn_norm, eps_, attention.back(g)));
}

}  // namespace snug::infer
