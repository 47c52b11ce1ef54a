#include "infer/reverse/chunk_attention.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/parallel.hpp"
#include "infer/exact/exact_kernels.hpp"
#include "infer/layers/ops.hpp"

namespace snug::infer {

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

float* ChunkAttention::scores(int64_t head, int64_t t) {
  return probabilities_.data() + (head * tokens() + t) * tokens();
}

const float* ChunkAttention::scores(int64_t head, int64_t t) const {
  return probabilities_.data() + (head * tokens() + t) * tokens();
}

void ChunkAttention::score(int64_t head) {
  const int64_t d = args_.key_dim, kv = head / (args_.heads / args_.kv_heads);
  for (int64_t t = 0; t < tokens(); ++t) {
    float* row = scores(head, t);
    const int64_t first = first_key(t);
    for (int64_t key = first; key <= t; ++key) {
      float s = args_.scale * exact_kernels().dot(q_.at(t) + head * d, k_.at(key) + kv * d, d);
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
}

Activations ChunkAttention::output() const {
  Activations out(tokens(), args_.heads * args_.value_dim);
  const int64_t d = args_.value_dim;
  parallel_for(args_.heads, [&](int64_t head) {
    const int64_t kv = head / (args_.heads / args_.kv_heads);
    for (int64_t t = 0; t < tokens(); ++t)
      for (int64_t key = first_key(t); key <= t; ++key)
        exact_kernels().add_scaled(out.at(t) + head * d, v_.at(key) + kv * d, scores(head, t)[key], d);
  });
  return out;
}

/// With P the probabilities: dv = P^T g,  dS = P (g v^T - rowsum(P g v^T)),  dq = scale dS k,  dk = scale dS^T q.
void ChunkAttention::reverse_head(int64_t head, int64_t draw, const Activations& g, Gradients& out) const {
  const int64_t kd = args_.key_dim, vd = args_.value_dim, kv = head / (args_.heads / args_.kv_heads);
  const ExactKernels& kernels = exact_kernels();
  std::vector<float> slope(static_cast<size_t>(tokens()));
  for (int64_t t = 0; t < tokens(); ++t) {
    const int64_t first = first_key(t), row = draw * tokens() + t;
    const float *p = scores(head, t), *from = g.at(row) + head * vd;
    double sum = 0;
    for (int64_t key = first; key <= t; ++key) {
      const float by = kernels.dot(from, v_.at(key) + kv * vd, vd);
      slope[static_cast<size_t>(key)] = by;
      sum += static_cast<double>(p[key]) * by;
      kernels.add_scaled(out.v.at(draw * tokens() + key) + kv * vd, from, p[key], vd);
    }
    for (int64_t key = first; key <= t; ++key) {
      float by = args_.scale * p[key] * (slope[static_cast<size_t>(key)] - static_cast<float>(sum));
      if (!slopes_.empty()) by *= slopes_[static_cast<size_t>((head * tokens() + t) * tokens() + key)];
      kernels.add_scaled(out.q.at(row) + head * kd, k_.at(key) + kv * kd, by, kd);
      kernels.add_scaled(out.k.at(draw * tokens() + key) + kv * kd, q_.at(t) + head * kd, by, kd);
    }
  }
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
