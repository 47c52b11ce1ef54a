#pragma once

#include "infer/kernels/dot.hpp"
#include "infer/kernels/kernels.hpp"

// Attention over one block of keys at a time with a running maximum, so that no matrix of scores is ever
// whole. Either queries lie side by side in a register (tiles), or one query alone is worked on along
// its width.

namespace snug::infer {
namespace {

/// Lanes V with what the tiles want to know of them: V::kLanes queries in a register, V::kRowsAtOnce keys at
/// a time.
template <class V>
struct AttendLanes : V {
  static constexpr int64_t kLanes = 8;
  static constexpr int kRowsAtOnce = 4;
};

/// e^x to about 2 units in the last place; 0 below -87.3.
template <class V>
typename V::f32 exponential(typename V::f32 x) {
  const auto least = V::splat(-87.3f);
  const auto gone = V::lt(x, least);
  x = V::min(V::max(x, least), V::splat(88.3f));
  const auto n = V::round(x * V::splat(1.44269504f));
  const auto r = V::fma(n, V::splat(-1.42860677e-6f), V::fma(n, V::splat(-0.693145752f), x));
  auto p = V::fma(r, V::splat(1.0f / 720), V::splat(1.0f / 120));
  p = V::fma(p, r, V::splat(1.0f / 24));
  p = V::fma(p, r, V::splat(1.0f / 6));
  p = V::fma(p, r, V::splat(0.5f));
  p = V::fma(p, r, V::splat(1.0f));
  p = V::fma(p, r, V::splat(1.0f));
  const auto power = V::bits_f(V::template shl<23>(V::to_i(n) + V::splat_i(127)));
  return V::select(gone, V::zero(), p * power);
}

/// cap tanh(x / cap)
template <class V>
typename V::f32 soft_capped(typename V::f32 x, float cap) {
  const auto e = exponential<V>(x * V::splat(2 / cap));
  const auto one = V::splat(1);
  return V::splat(cap) * (one - V::splat(2) / (e + one));
}

/// sum[r][t] += sum over k < count of w[r * w_row + k * w_step] * x[t * x_tile + k * 8 ...]
template <class V, int R, int T>
inline void multiply_reals(const float* w, int64_t w_row, int64_t w_step, const float* x, int64_t x_tile,
                           int64_t count, typename V::f32 (&sum)[R][T]) {
  for (int64_t k = 0; k < count; ++k) {
    typename V::f32 in[T];
    for (int t = 0; t < T; ++t) in[t] = V::load(x + t * x_tile + k * V::kLanes);
    for (int r = 0; r < R; ++r) {
      const auto weight = V::splat(w[r * w_row + k * w_step]);
      for (int t = 0; t < T; ++t) sum[r][t] = V::fma(weight, in[t], sum[r][t]);
    }
  }
}

template <class V, int T>
void score_tiles(const AttendQueries& q, int64_t tile, const AttendKeys& keys) {
  constexpr int R = V::kRowsAtOnce;
  for (int64_t key = 0; key < keys.count; key += R) {  // the buffer has room for a multiple of eight
    typename V::f32 sum[R][T];
    for (auto& row : sum)
      for (auto& s : row) s = V::zero();
    multiply_reals<V, R, T>(keys.k + key * q.key_dim, q.key_dim, 1, q.q + tile * q.key_dim * V::kLanes,
                            q.key_dim * V::kLanes, q.key_dim, sum);
    for (int r = 0; r < R; ++r)
      for (int t = 0; t < T; ++t) {
        auto s = sum[r][t] * V::splat(q.scale);
        if (q.soft_cap > 0) s = soft_capped<V>(s, q.soft_cap);
        V::store(q.scores + ((tile + t) * kAttendKeys + key + r) * V::kLanes, s);
      }
  }
}

template <class V>
void score(const AttendQueries& q, const AttendKeys& keys) {
  int64_t tile = 0;
  for (; tile + 2 <= q.tiles; tile += 2) score_tiles<V, 2>(q, tile, keys);
  if (tile < q.tiles) score_tiles<V, 1>(q, tile, keys);
}

template <class V, int T>
void add_values(const AttendQueries& q, int64_t tile, const AttendKeys& keys) {
  const float* p = q.scores + tile * kAttendKeys * V::kLanes;
  const int64_t out_tile = q.value_dim * V::kLanes;
  float* out = q.out + tile * out_tile;
  const auto rows = [&]<int R>(int64_t d) {
    typename V::f32 sum[R][T];
    for (int r = 0; r < R; ++r)
      for (int t = 0; t < T; ++t) sum[r][t] = V::load(out + t * out_tile + (d + r) * V::kLanes);
    multiply_reals<V, R, T>(keys.v + d, 1, q.value_dim, p, kAttendKeys * V::kLanes, keys.count, sum);
    for (int r = 0; r < R; ++r)
      for (int t = 0; t < T; ++t) V::store(out + t * out_tile + (d + r) * V::kLanes, sum[r][t]);
  };
  int64_t d = 0;
  for (; d + V::kRowsAtOnce <= q.value_dim; d += V::kRowsAtOnce) rows.template operator()<V::kRowsAtOnce>(d);
  for (; d < q.value_dim; ++d) rows.template operator()<1>(d);
}

/// Scores to weights under the running maximum; what was gathered so far shrinks with it.
template <class V>
void weigh(const AttendQueries& q, int64_t tile, int64_t count) {
  float* s = q.scores + tile * kAttendKeys * V::kLanes;
  const auto before = V::load(q.most + tile * V::kLanes);
  auto most = before;
  for (int64_t k = 0; k < count; ++k) most = V::max(V::load(s + k * V::kLanes), most);
  const auto shrink = exponential<V>(before - most);
  auto sum = V::load(q.sum + tile * V::kLanes) * shrink;
  for (int64_t k = 0; k < count; ++k) {
    const auto p = exponential<V>(V::load(s + k * V::kLanes) - most);
    V::store(s + k * V::kLanes, p);
    sum = sum + p;
  }
  V::store(q.most + tile * V::kLanes, most);
  V::store(q.sum + tile * V::kLanes, sum);
  if (V::bits(V::lt(before, most)) == 0) return;
  float* out = q.out + tile * q.value_dim * V::kLanes;
  for (int64_t d = 0; d < q.value_dim; ++d)
    V::store(out + d * V::kLanes, V::load(out + d * V::kLanes) * shrink);
}

template <class V>
void gather(const AttendQueries& q, const AttendKeys& keys) {
  for (int64_t tile = 0; tile < q.tiles; ++tile) weigh<V>(q, tile, keys.count);
  int64_t tile = 0;
  for (; tile + 2 <= q.tiles; tile += 2) add_values<V, 2>(q, tile, keys);
  if (tile < q.tiles) add_values<V, 1>(q, tile, keys);
}

/// scores[k] = query times key k, for eight keys of a size that eight divides.
template <class V>
inline void score_eight(const float* query, const float* keys, int64_t size, float* scores) {
  typename V::f32 sum[8];
  for (auto& s : sum) s = V::zero();
  for (int64_t d = 0; d < size; d += 8) {
    const auto q = V::load(query + d);
    for (int k = 0; k < 8; ++k) sum[k] = V::fma(V::load(keys + k * size + d), q, sum[k]);
  }
  V::transpose(sum);
  V::store(scores, ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7])));
}

/// One query: q.q [key_dim], q.scores [kAttendKeys], q.out [value_dim], one most and one sum.
template <class V>
void attend_one(const AttendQueries& q, const AttendKeys& keys) {
  float most = *q.most;
  int64_t done = 0;
  for (; done + 8 <= keys.count && q.key_dim % 8 == 0; done += 8)
    score_eight<V>(q.q, keys.k + done * q.key_dim, q.key_dim, q.scores + done);
  for (; done < keys.count; ++done)
    q.scores[done] = dot_real<V, ReadF32<V>>(keys.k + done * q.key_dim, q.q, q.key_dim);
  for (int64_t k = 0; k < keys.count; ++k) {
    float s = q.scale * q.scores[k];
    if (q.soft_cap > 0) s = V::sum(soft_capped<V>(V::splat(s), q.soft_cap)) * 0.125f;
    q.scores[k] = s;
    most = s > most ? s : most;
  }
  for (int64_t k = keys.count; k < (keys.count + 7) / 8 * 8; ++k) q.scores[k] = -1e30f;
  const auto top = V::splat(most), shrink = exponential<V>(V::splat(*q.most) - top);
  auto sum = V::zero();
  for (int64_t k = 0; k < keys.count; k += 8) {
    const auto p = exponential<V>(V::load(q.scores + k) - top);
    V::store(q.scores + k, p);
    sum = sum + p;
  }
  float shrinks[8];
  V::store(shrinks, shrink);
  *q.sum = *q.sum * shrinks[0] + V::sum(sum);
  *q.most = most;
  // Several sums side by side: each waits for the value before.
  const auto values = [&]<int R>(int64_t d) {
    typename V::f32 out[R];
    for (int r = 0; r < R; ++r) out[r] = V::load(q.out + d + 8 * r) * shrink;
    for (int64_t k = 0; k < keys.count; ++k) {
      const auto weight = V::splat(q.scores[k]);
      const float* v = keys.v + k * q.value_dim + d;
      for (int r = 0; r < R; ++r) out[r] = V::fma(weight, V::load(v + 8 * r), out[r]);
    }
    for (int r = 0; r < R; ++r) V::store(q.out + d + 8 * r, out[r]);
  };
  int64_t d = 0;
  for (; d + 64 <= q.value_dim; d += 64) values.template operator()<8>(d);
  for (; d + 8 <= q.value_dim; d += 8) values.template operator()<1>(d);
  for (; d < q.value_dim; ++d) {
    float out = q.out[d] * shrinks[0];
    for (int64_t k = 0; k < keys.count; ++k) out += q.scores[k] * keys.v[k * q.value_dim + d];
    q.out[d] = out;
  }
}

/// Rows of f16 values as f32.
template <class V>
void widen_rows(const std::byte* from, int64_t row_bytes, int64_t rows, int64_t count, float* to) {
  for (int64_t r = 0; r < rows; ++r, from += row_bytes, to += count) {
    const auto* row = reinterpret_cast<const uint16_t*>(from);
    int64_t k = 0;
    for (; k + 8 <= count; k += 8) V::store(to + k, V::load_half(row + k));
    for (; k < count; ++k) to[k] = V::half(row[k]);
  }
}

/// gate = silu(gate) * up
template <class V>
void silu_rows(float* gate, const float* up, int64_t count) {
  const auto one = V::splat(1);
  int64_t k = 0;
  for (; k + V::kLanes <= count; k += V::kLanes) {
    const auto g = V::load(gate + k);
    V::store(gate + k, g / (one + exponential<V>(-g)) * V::load(up + k));
  }
  for (; k < count; ++k) {
    float e[V::kLanes];
    V::store(e, exponential<V>(V::splat(-gate[k])));
    gate[k] = gate[k] / (1 + e[0]) * up[k];
  }
}

/// y = x / sqrt(mean(x^2) + eps) * weight
template <class V>
void norm_row(const float* x, const float* weight, int64_t count, float eps, float* y) {
  typename V::f32 squares[4] = {V::zero(), V::zero(), V::zero(), V::zero()};
  int64_t k = 0;
  for (; k + 32 <= count; k += 32)
    for (int n = 0; n < 4; ++n) {
      const auto part = V::load(x + k + 8 * n);
      squares[n] = V::fma(part, part, squares[n]);
    }
  float sum = V::sum((squares[0] + squares[1]) + (squares[2] + squares[3]));
  for (; k < count; ++k) sum += x[k] * x[k];
  const float by = 1.0f / __builtin_sqrtf(sum / static_cast<float>(count) + eps);
  const auto all = V::splat(by);
  for (k = 0; k + 8 <= count; k += 8) V::store(y + k, V::load(x + k) * all * V::load(weight + k));
  for (; k < count; ++k) y[k] = x[k] * by * weight[k];
}

}  // namespace
}  // namespace snug::infer
