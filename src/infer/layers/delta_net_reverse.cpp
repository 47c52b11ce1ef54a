#include "infer/layers/delta_net_reverse.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/parallel.hpp"
#include "infer/exact/exact_kernels.hpp"
#include "infer/layers/attention.hpp"
#include "infer/layers/ops.hpp"
#include "infer/reverse/ops.hpp"

namespace snug::infer {

DeltaNetWay::DeltaNetWay(const DeltaNet& net, Reverse& reverse, Activations a)
    : net_{net},
      reverse_{reverse},
      a_{std::move(a)},
      in_{net.project(reverse.step, a_)},
      raw_{net.gate_inputs(reverse.step, a_)},
      gates_{net.gates(raw_)} {
  convolve();
  normalise();
  seen_ = Activations(tokens(), net_.value_width());
  parallel_for(net_.shape_.value_heads, [&](int64_t head) { run_head(head, &seen_, nullptr); });
  normed_ = seen_;
  rms_norm_groups(normed_, dim(), net_.norm_, net_.shape_.eps);
  product_ = normed_;
  for (size_t i = 0; i < product_.values().size(); ++i) product_.values()[i] *= silu(in_.z.values()[i]);
  result_ = apply(reverse_.step, net_.out_, product_);
}

void DeltaNetWay::convolve() {
  const int64_t kernel = net_.shape_.kernel;
  summed_ = Activations(tokens(), net_.channels());
  for (int64_t t = 0; t < tokens(); ++t)
    for (int64_t j = std::max<int64_t>(0, kernel - 1 - t); j < kernel; ++j)
      for (int64_t c = 0; c < net_.channels(); ++c)
        summed_.at(t)[c] +=
            net_.conv_[static_cast<size_t>(c * kernel + j)] * in_.qkv.at(t - (kernel - 1) + j)[c];
  turned_ = summed_;
  for (float& v : turned_.values()) v = silu(v);
}

/// Queries and keys of every head to length 1.
void DeltaNetWay::normalise() {
  qkv_ = turned_;
  for (int64_t t = 0; t < tokens(); ++t)
    for (int64_t from = 0; from < 2 * net_.key_width(); from += dim()) {
      float* x = qkv_.at(t) + from;
      double sum = 0;
      for (int64_t i = 0; i < dim(); ++i) sum += static_cast<double>(x[i]) * x[i];
      const float by = 1.0f / std::sqrt(static_cast<float>(sum) + net_.shape_.eps);
      for (int64_t i = 0; i < dim(); ++i) x[i] *= by;
    }
}

/// A head's columns of `seen`, or its states: [tokens + 1, dim values, dim keys], the first zero.
void DeltaNetWay::run_head(int64_t head, Activations* seen, std::vector<float>* states) const {
  const int64_t d = dim(), from = net_.key_head(head);
  const ExactKernels& kernels = exact_kernels();
  const float by = 1.0f / std::sqrt(static_cast<float>(d));
  std::vector<float> state(static_cast<size_t>(d * d));
  if (states) states->assign(static_cast<size_t>((tokens() + 1) * d * d), 0.0f);
  for (int64_t t = 0; t < tokens(); ++t) {
    const float* q = qkv_.at(t) + from * d;
    const float* k = qkv_.at(t) + net_.key_width() + from * d;
    const float* v = qkv_.at(t) + 2 * net_.key_width() + head * d;
    for (int64_t i = 0; i < d; ++i) {
      float* row = state.data() + i * d;
      for (int64_t j = 0; j < d; ++j) row[j] *= gates_.decay.at(t)[head];
      kernels.add_scaled(row, k, gates_.beta.at(t)[head] * (v[i] - kernels.dot(row, k, d)), d);
      if (seen) seen->at(t)[head * d + i] = kernels.dot(row, q, d) * by;
    }
    if (states) std::ranges::copy(state, states->begin() + (t + 1) * d * d);
  }
}

/// With S' = decay S_before, r = v - S' k, S = S' + beta r k^T and o = S q / sqrt(dim), from the last token back:
///   dS += do q^T / sqrt(dim);  dr = beta dS k;  dk = beta dS^T r - S'^T dr;  dS' = dS - dr k^T.
void DeltaNetWay::head_back(int64_t head, const std::vector<float>& states, int64_t draw, const Activations& by_o,
                            Gradients& out) const {
  const int64_t d = dim(), from = net_.key_head(head);
  const ExactKernels& kernels = exact_kernels();
  const float by = 1.0f / std::sqrt(static_cast<float>(d));
  std::vector<float> by_state(static_cast<size_t>(d * d));
  for (int64_t t = tokens() - 1; t >= 0; --t) {
    const int64_t row = draw * tokens() + t, q_at = from * d, k_at = net_.key_width() + from * d,
                  v_at = 2 * net_.key_width() + head * d;
    const float *q = qkv_.at(t) + q_at, *k = qkv_.at(t) + k_at, *v = qkv_.at(t) + v_at;
    const float *before = states.data() + t * d * d, *after = before + d * d;
    const float decay = gates_.decay.at(t)[head], beta = gates_.beta.at(t)[head];
    float *by_q = out.qkv.at(row) + q_at, *by_k = out.qkv.at(row) + k_at;
    double by_beta = 0, by_decay = 0;
    for (int64_t i = 0; i < d; ++i) {
      float* mine = by_state.data() + i * d;
      const float g = by_o.at(row)[head * d + i] * by;
      kernels.add_scaled(mine, q, g, d);
      kernels.add_scaled(by_q, after + i * d, g, d);
      const float r = v[i] - decay * kernels.dot(before + i * d, k, d), along = kernels.dot(mine, k, d);
      by_beta += static_cast<double>(r) * along;
      const float by_r = beta * along;
      kernels.add_scaled(by_k, mine, beta * r, d);
      kernels.add_scaled(by_k, before + i * d, -by_r * decay, d);
      out.qkv.at(row)[v_at + i] += by_r;
      kernels.add_scaled(mine, k, -by_r, d);
      by_decay += static_cast<double>(kernels.dot(mine, before + i * d, d));
      for (int64_t j = 0; j < d; ++j) mine[j] *= decay;
    }
    out.beta.at(row)[head] = static_cast<float>(by_beta);
    out.decay.at(row)[head] = static_cast<float>(by_decay);
  }
}

Activations DeltaNetWay::back(const Activations& g) const {
  const Activations by_product = reverse_linear(reverse_, net_.out_, product_, g);
  Activations by_normed = by_product, by_z = by_product;
  for (int64_t i = 0; i < g.count(); ++i)
    for (int64_t k = 0; k < by_z.width(); ++k) {
      const float z = in_.z.at(i % tokens())[k];
      by_normed.at(i)[k] *= silu(z);
      by_z.at(i)[k] *= normed_.at(i % tokens())[k] * reverse_silu(z);
    }
  const Activations by_o = reverse_rms_norm_groups(seen_, dim(), net_.norm_, net_.shape_.eps, by_normed);
  Gradients by{Activations(g.count(), net_.channels()), Activations(g.count(), net_.shape_.value_heads),
               Activations(g.count(), net_.shape_.value_heads)};
  std::vector<float> states;
  for (int64_t head = 0; head < net_.shape_.value_heads; ++head) {
    run_head(head, nullptr, &states);
    parallel_for(reverse_.draws, [&](int64_t draw) { head_back(head, states, draw, by_o, by); });
  }
  norms_back(by.qkv);
  Activations out = projection_back(convolution_back(by.qkv), by_z);
  add(out, gates_back(by));
  return out;
}

/// In place: by what the norms of queries and keys were given.
void DeltaNetWay::norms_back(Activations& by_qkv) const {
  const int64_t width = 2 * net_.key_width();
  // x / sqrt(sum + eps) is the norm of the mean with eps / dim, over sqrt(dim).
  Activations back = reverse_rms_norm_groups(columns(turned_, 0, width), dim(), {},
                                      net_.shape_.eps / static_cast<float>(dim()), columns(by_qkv, 0, width));
  scale(back, 1.0f / std::sqrt(static_cast<float>(dim())));
  for (int64_t i = 0; i < back.count(); ++i) std::copy_n(back.at(i), width, by_qkv.at(i));
}

Activations DeltaNetWay::convolution_back(const Activations& by_turned) const {
  const int64_t kernel = net_.shape_.kernel;
  Activations by_u(by_turned.count(), by_turned.width());
  for (int64_t i = 0; i < by_turned.count(); ++i) {
    const int64_t t = i % tokens();
    for (int64_t c = 0; c < by_turned.width(); ++c) {
      const float g = by_turned.at(i)[c] * reverse_silu(summed_.at(t)[c]);
      for (int64_t j = std::max<int64_t>(0, kernel - 1 - t); j < kernel; ++j)
        by_u.at(i - (kernel - 1) + j)[c] += net_.conv_[static_cast<size_t>(c * kernel + j)] * g;
    }
  }
  return by_u;
}

Activations DeltaNetWay::gates_back(const Gradients& by) const {
  Activations beta = by.beta, decay = by.decay;
  for (int64_t i = 0; i < beta.count(); ++i)
    for (int64_t h = 0; h < beta.width(); ++h) {
      const int64_t t = i % tokens();
      const float b = gates_.beta.at(t)[h];
      beta.at(i)[h] *= b * (1 - b);
      decay.at(i)[h] *= gates_.decay.at(t)[h] * net_.a_[static_cast<size_t>(h)] *
                        sigmoid(raw_.decay.at(t)[h] + net_.dt_[static_cast<size_t>(h)]);
    }
  if (!net_.beta_alpha_) {
    Activations out = reverse_linear(reverse_, net_.beta_, a_, beta);
    add(out, reverse_linear(reverse_, net_.alpha_, a_, decay));
    return out;
  }
  const int64_t per_key = net_.shape_.value_heads / net_.shape_.key_heads;
  Activations both(beta.count(), 2 * beta.width());
  for (int64_t i = 0; i < both.count(); ++i)
    for (int64_t h = 0; h < beta.width(); ++h) {
      float* group = both.at(i) + h / per_key * 2 * per_key;
      group[h % per_key] = beta.at(i)[h];
      group[per_key + h % per_key] = decay.at(i)[h];
    }
  return reverse_linear(reverse_, net_.beta_alpha_, a_, both);
}

Activations DeltaNetWay::projection_back(const Activations& by_u, const Activations& by_z) const {
  if (!net_.in_) {
    Activations out = reverse_linear(reverse_, net_.qkv_, a_, by_u);
    add(out, reverse_linear(reverse_, net_.z_, a_, by_z));
    return out;
  }
  const int64_t d = dim(), values = net_.value_width() / net_.shape_.key_heads, group = 2 * d + 2 * values;
  Activations all(by_u.count(), net_.channels() + net_.value_width());
  for (int64_t i = 0; i < all.count(); ++i)
    for (int64_t h = 0; h < net_.shape_.key_heads; ++h) {
      float* to = all.at(i) + h * group;
      std::copy_n(by_u.at(i) + h * d, d, to);
      std::copy_n(by_u.at(i) + net_.key_width() + h * d, d, to + d);
      std::copy_n(by_u.at(i) + 2 * net_.key_width() + h * values, values, to + 2 * d);
      std::copy_n(by_z.at(i) + h * values, values, to + 2 * d + values);
    }
  return reverse_linear(reverse_, net_.in_, a_, all);
}

}  // namespace snug::infer
