#include "infer/reverse/chunk_attention.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/parallel.hpp"
#include "infer/exact/exact_kernels.hpp"
#include "infer/layers/ops.hpp"

namespace snug::infer {
namespace {

constexpr int64_t kTogether = 32;  // tokens whose keys are gone through together

/// Columns [first, first + width) of each row, padded with zeros to the multiple of 8 that kernels want.
Activations padded_columns(const float* rows, int64_t count, int64_t stride, int64_t width) {
  Activations columns(count, (width + 7) / 8 * 8);
  for (int64_t t = 0; t < count; ++t) std::copy_n(rows + t * stride, width, columns.at(t));
  return columns;
}

}  // namespace

ChunkAttention::ChunkAttention(const AttendArgs& args, Activations q, Activations k, Activations v)
    : args_{args},
      q_{std::move(q)},
      k_{std::move(k)},
      v_{std::move(v)},
      probabilities_(static_cast<size_t>(args.heads * q_.count() * q_.count())) {
  if (args.soft_cap > 0) slopes_.resize(probabilities_.size());
  parallel_for(args.heads, [&](int64_t head) { score(head); });
}

int64_t ChunkAttention::first_key(int64_t t) const {
  return args_.window > 0 ? std::max<int64_t>(0, t - args_.window + 1) : 0;
}

void ChunkAttention::inner_products(const Activations& a, const Activations& b, float* products) const {
  for (int64_t t = 0; t < tokens(); t += kTogether) {
    const int64_t end = std::min(tokens(), t + kTogether);
    for (int64_t key = first_key(t); key < end; key += kPanelRows)
      exact_kernels().panel(b.at(key), std::min(kPanelRows, end - key), a.at(t), end - t, a.width(),
                            products + t * tokens() + key, tokens());
  }
}

void ChunkAttention::score(int64_t head) {
  const int64_t d = args_.key_dim;
  const Activations q = padded_columns(q_.at(0) + head * d, tokens(), q_.width(), d);
  const Activations k = padded_columns(k_.at(0) + kv_head(head) * d, tokens(), k_.width(), d);
  inner_products(q, k, scores(head, 0));
  for (int64_t t = 0; t < tokens(); ++t) normalise(head, t);
}

/// Makes probabilities of a token's inner products, and 0 of those with keys that it does not see.
void ChunkAttention::normalise(int64_t head, int64_t t) {
  float* row = scores(head, t);
  const int64_t first = first_key(t);
  std::fill(row, row + first, 0.0f);
  std::fill(row + t + 1, row + tokens(), 0.0f);
  for (int64_t key = first; key <= t; ++key) {
    float s = args_.scale * row[key];
    if (args_.soft_cap > 0) {
      const float turned = std::tanh(s / args_.soft_cap);
      s = args_.soft_cap * turned;
      slopes_[static_cast<size_t>((head * tokens() + t) * tokens() + key)] = 1 - turned * turned;
    }
    row[key] = s;
  }
  const std::span<float> seen{row + first, static_cast<size_t>(t - first + 1)};
  if (args_.sinks.empty())
    softmax(seen);
  else
    softmax_with_sink(seen, args_.sinks[static_cast<size_t>(head)]);
}

void ChunkAttention::mix_keys(const float* factors, const float* from, int64_t from_stride, int64_t width, float* to,
                              int64_t to_stride) const {
  for (int64_t t = 0; t < tokens(); t += kTogether) {
    const int64_t end = std::min(tokens(), t + kTogether), key = first_key(t);
    exact_kernels().accumulate(factors + t * tokens() + key, end - t, tokens(), from + key * from_stride, end - key, width,
                               from_stride, to + t * to_stride, to_stride);
  }
}

void ChunkAttention::mix_tokens(const float* factors, const float* from, int64_t from_stride, int64_t width, float* to,
                                int64_t to_stride) const {
  Activations turned = Activations::unset(kTogether, tokens());
  for (int64_t key = 0; key < tokens(); key += kTogether) {
    const int64_t keys = std::min(kTogether, tokens() - key);
    const int64_t end = args_.window > 0 ? std::min(tokens(), key + keys - 1 + args_.window) : tokens();
    for (int64_t t = key; t < end; ++t)
      for (int64_t k = 0; k < keys; ++k) turned.at(k)[t - key] = factors[t * tokens() + key + k];
    exact_kernels().accumulate(turned.at(0), keys, tokens(), from + key * from_stride, end - key, width, from_stride,
                               to + key * to_stride, to_stride);
  }
}

Activations ChunkAttention::output() const {
  Activations out(tokens(), args_.heads * args_.value_dim);
  const int64_t d = args_.value_dim;
  parallel_for(args_.heads, [&](int64_t head) {
    mix_keys(scores(head, 0), v_.at(0) + kv_head(head) * d, v_.width(), d, out.at(0) + head * d, out.width());
  });
  return out;
}

/// By the inner products of q and k, in place of those of g and v; 0 where a token does not see a key.
void ChunkAttention::reverse_scores(int64_t head, Activations& by) const {
  for (int64_t t = 0; t < tokens(); ++t) {
    const int64_t first = first_key(t);
    const float* p = scores(head, t);
    float* row = by.at(t);
    double sum = 0;
    for (int64_t key = first; key <= t; ++key) sum += static_cast<double>(p[key]) * row[key];
    std::fill(row, row + first, 0.0f);
    std::fill(row + t + 1, row + tokens(), 0.0f);
    for (int64_t key = first; key <= t; ++key) {
      row[key] = args_.scale * p[key] * (row[key] - static_cast<float>(sum));
      if (!slopes_.empty()) row[key] *= slopes(head, t)[key];
    }
  }
}

/// With P the probabilities: dv = P^T g,  dS = P (g v^T - rowsum(P g v^T)),  dq = scale dS k,  dk = scale dS^T q.
void ChunkAttention::reverse_head(int64_t head, int64_t draw, const Activations& g, Gradients& out) const {
  const int64_t kd = args_.key_dim, vd = args_.value_dim, kv = kv_head(head), row = draw * tokens();
  const float* from = g.at(row) + head * vd;
  mix_tokens(scores(head, 0), from, g.width(), vd, out.v.at(row) + kv * vd, out.v.width());
  const Activations turned = padded_columns(from, tokens(), g.width(), vd);
  const Activations values = padded_columns(v_.at(0) + kv * vd, tokens(), v_.width(), vd);
  Activations by = Activations::unset(tokens(), tokens());
  inner_products(turned, values, by.at(0));
  reverse_scores(head, by);
  mix_keys(by.at(0), k_.at(0) + kv * kd, k_.width(), kd, out.q.at(row) + head * kd, out.q.width());
  mix_tokens(by.at(0), q_.at(0) + head * kd, q_.width(), kd, out.k.at(row) + kv * kd, out.k.width());
}

ChunkAttention::Gradients ChunkAttention::reverse(const Activations& g) const {
  Gradients out{Activations(g.count(), q_.width()), Activations(g.count(), k_.width()),
                Activations(g.count(), v_.width())};
  const int64_t group = args_.heads / args_.kv_heads, draws = g.count() / std::max<int64_t>(1, tokens());
  parallel_for(draws * args_.kv_heads, [&](int64_t i) {  // heads that share keys add to the same gradients
    for (int64_t h = 0; h < group; ++h) reverse_head(i % args_.kv_heads * group + h, i / args_.kv_heads, g, out);
  });
  return out;
}

}  // namespace snug::infer
