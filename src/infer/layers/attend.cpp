#include "infer/layers/attend.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/parallel.hpp"
#include "infer/exact/exact_kernels.hpp"
#include "infer/layers/ops.hpp"

namespace snug::infer {
namespace {

constexpr int64_t kTile = 8;  // query tokens that share each key read

/// The queries of a few tokens in the heads that share one key/value head.
class Tile {
 public:
  Tile(const AttendArgs& args, const KvCache& cache, const Activations& queries, int64_t first_position,
       int64_t first_token, int64_t kv_head)
      : args_{args},
        cache_{cache},
        queries_{queries},
        first_token_{first_token},
        kv_head_{kv_head},
        group_{args.heads / args.kv_heads},
        tokens_{std::min(kTile, queries.count() - first_token)},
        position_{first_position + first_token},
        first_key_{visible_from(position_)},
        keys_{position_ + tokens_ - first_key_},
        scores_(static_cast<size_t>(tokens_ * group_ * keys_)),
        scratch_(static_cast<size_t>(std::max(args.key_dim, args.value_dim))) {}

  void run(Activations& out) {
    for (int64_t key = first_key_; key < first_key_ + keys_; ++key) score(key);
    for (int64_t t = 0; t < tokens_; ++t)
      for (int64_t g = 0; g < group_; ++g) normalise(t, g);
    for (int64_t key = first_key_; key < first_key_ + keys_; ++key) gather(key, out);
  }

 private:
  int64_t visible_from(int64_t position) const {
    return args_.window > 0 ? std::max<int64_t>(0, position - args_.window + 1) : 0;
  }
  bool sees(int64_t t, int64_t key) const {
    return key <= position_ + t && key >= visible_from(position_ + t);
  }
  int64_t head(int64_t g) const { return kv_head_ * group_ + g; }
  float* scores(int64_t t, int64_t g) { return scores_.data() + (t * group_ + g) * keys_; }

  void score(int64_t key) {
    const float* k = cache_.key(key, kv_head_ * args_.key_dim, args_.key_dim, scratch_.data());
    const ExactKernels& kernels = exact_kernels();
    for (int64_t t = 0; t < tokens_; ++t) {
      if (!sees(t, key)) continue;
      for (int64_t g = 0; g < group_; ++g) {
        const float* q = queries_.at(first_token_ + t) + head(g) * args_.key_dim;
        float s = args_.scale * kernels.dot(q, k, args_.key_dim);
        if (args_.soft_cap > 0) s = args_.soft_cap * std::tanh(s / args_.soft_cap);
        scores(t, g)[key - first_key_] = s;
      }
    }
  }

  void normalise(int64_t t, int64_t g) {
    const int64_t from = visible_from(position_ + t);
    const std::span<float> row{scores(t, g) + (from - first_key_),
                               static_cast<size_t>(position_ + t - from + 1)};
    if (args_.sinks.empty())
      softmax(row);
    else
      softmax_with_sink(row, args_.sinks[static_cast<size_t>(head(g))]);
  }

  void gather(int64_t key, Activations& out) {
    const float* v = cache_.value(key, kv_head_ * args_.value_dim, args_.value_dim, scratch_.data());
    const ExactKernels& kernels = exact_kernels();
    for (int64_t t = 0; t < tokens_; ++t) {
      if (!sees(t, key)) continue;
      for (int64_t g = 0; g < group_; ++g)
        kernels.add_scaled(out.at(first_token_ + t) + head(g) * args_.value_dim, v,
                           scores(t, g)[key - first_key_], args_.value_dim);
    }
  }

  const AttendArgs& args_;
  const KvCache& cache_;
  const Activations& queries_;
  int64_t first_token_, kv_head_, group_, tokens_, position_, first_key_, keys_;
  std::vector<float> scores_, scratch_;
};

}  // namespace

Activations attend(const AttendArgs& args, const KvCache& cache, const Activations& queries,
                   int64_t first_position) {
  if (args.compute == Compute::fast) return attend_fast(args, cache, queries, first_position);
  Activations out(queries.count(), args.heads * args.value_dim);
  const int64_t tiles = (queries.count() + kTile - 1) / kTile;
  parallel_for(tiles * args.kv_heads, [&](int64_t i) {
    Tile{args, cache, queries, first_position, i / args.kv_heads * kTile, i % args.kv_heads}.run(out);
  });
  return out;
}

}  // namespace snug::infer
