#include <algorithm>
#include <cmath>
#include <vector>

#include "base/parallel.hpp"
#include "infer/kernels/kernels.hpp"
#include "infer/layers/attend.hpp"

namespace snug::infer {
namespace {

constexpr int64_t kRows = 64;  // queries that share a block of keys
constexpr float kMasked = -1e30f;

/// The queries of some tokens in the heads that share one key/value head.
class FastTile {
 public:
  FastTile(const AttendArgs& args, const KvCache& cache, const Activations& queries, int64_t first_position,
           int64_t first_token, int64_t tokens, int64_t kv_head)
      : args_{args},
        cache_{cache},
        queries_{queries},
        position_{first_position + first_token},
        first_token_{first_token},
        tokens_{tokens},
        kv_head_{kv_head},
        group_{args.heads / args.kv_heads},
        alone_{tokens * group_ <= 4},
        rows_{tokens * group_},
        lanes_{alone_ ? 1 : packed_kernels().attend_lanes},
        tiles_{(rows_ + lanes_ - 1) / lanes_},
        keys_(static_cast<size_t>(kAttendKeys * args.key_dim)),
        values_(static_cast<size_t>(kAttendKeys * args.value_dim)),
        q_(static_cast<size_t>(tiles_ * lanes_ * args.key_dim)),
        scores_(static_cast<size_t>(tiles_ * lanes_ * kAttendKeys)),
        most_(static_cast<size_t>(tiles_ * lanes_), kMasked),
        sum_(most_.size()),
        nothing_(most_.size()),
        out_(static_cast<size_t>(tiles_ * lanes_ * args.value_dim)) {
    for (int64_t row = 0; row < rows_; ++row) {
      const float* from = query(row);
      float* to = q_.data() + begin(row, args_.key_dim);
      float nothing = 0;
      for (int64_t d = 0; d < args_.key_dim; ++d) {
        to[d * lanes_] = from[d];
        nothing += from[d] - from[d];
      }
      nothing_[static_cast<size_t>(row)] = nothing;
    }
  }

  void run(Activations& out) {
    const int64_t last = position_ + tokens_ - 1;
    for (int64_t key = visible_from(position_); key <= last; key += kAttendKeys)
      block(key, std::min(kAttendKeys, last - key + 1));
    for (int64_t row = 0; row < rows_; ++row) write(row, out);
  }

 private:
  int64_t visible_from(int64_t position) const {
    return args_.window > 0 ? std::max<int64_t>(0, position - args_.window + 1) : 0;
  }
  int64_t head(int64_t row) const { return kv_head_ * group_ + row % group_; }
  int64_t token(int64_t row) const { return row / group_; }
  const float* query(int64_t row) const {
    return queries_.at(first_token_ + token(row)) + head(row) * args_.key_dim;
  }
  /// Where a row begins in an array of `size` elements a row, which are lanes_ apart.
  int64_t begin(int64_t row, int64_t size) const { return row / lanes_ * size * lanes_ + row % lanes_; }

  void block(int64_t first, int64_t count) {
    cache_.copy_keys(first, count, kv_head_ * args_.key_dim, args_.key_dim, keys_.data());
    cache_.copy_values(first, count, kv_head_ * args_.value_dim, args_.value_dim, values_.data());
    const AttendKeys keys{keys_.data(), values_.data(), count};
    AttendQueries all = queries_of(0, alone_ ? 1 : tiles_);
    if (!alone_) {
      packed_kernels().score(all, keys);
      mask(first, count);
      packed_kernels().gather(all, keys);
      return;
    }
    for (int64_t row = 0; row < rows_; ++row) one(row, first, count);
  }

  AttendQueries queries_of(int64_t tile, int64_t tiles) {
    const auto part = [&](std::vector<float>& of, int64_t size) { return of.data() + tile * lanes_ * size; };
    return {tiles,
            args_.key_dim,
            args_.value_dim,
            args_.scale,
            args_.soft_cap,
            part(q_, args_.key_dim),
            part(scores_, kAttendKeys),
            part(most_, 1),
            part(sum_, 1),
            part(out_, args_.value_dim)};
  }

  /// One query sees a stretch of the block.
  void one(int64_t row, int64_t first, int64_t count) {
    const int64_t position = position_ + token(row);
    const int64_t from = std::max(visible_from(position), first), end = std::min(position + 1, first + count);
    if (from >= end) return;
    packed_kernels().attend_one(queries_of(row, 1),
                                {keys_.data() + (from - first) * args_.key_dim,
                                 values_.data() + (from - first) * args_.value_dim, end - from});
  }

  void mask(int64_t first, int64_t count) {
    const int64_t last = position_ + tokens_ - 1;
    if (first + count - 1 <= position_ && first >= visible_from(last)) return;  // all see all
    for (int64_t row = 0; row < rows_; ++row) {
      const int64_t position = position_ + token(row);
      float* scores = scores_.data() + begin(row, kAttendKeys);
      const int64_t before = std::min(count, visible_from(position) - first),
                    behind = std::max<int64_t>(0, position + 1 - first);
      for (int64_t k = 0; k < before; ++k) scores[k * lanes_] = kMasked;
      for (int64_t k = behind; k < count; ++k) scores[k * lanes_] = kMasked;
    }
  }

  void write(int64_t row, Activations& out) const {
    const auto r = static_cast<size_t>(row);
    float by = 1 / sum_[r] + nothing_[r];
    if (!args_.sinks.empty()) {
      const float sink = args_.sinks[static_cast<size_t>(head(row))], most = std::max(most_[r], sink);
      const float shrink = std::exp(most_[r] - most);
      by = shrink / (sum_[r] * shrink + std::exp(sink - most)) + nothing_[r];
    }
    float* to = out.at(first_token_ + token(row)) + head(row) * args_.value_dim;
    const float* from = out_.data() + begin(row, args_.value_dim);
    for (int64_t d = 0; d < args_.value_dim; ++d) to[d] = from[d * lanes_] * by;
  }

  const AttendArgs& args_;
  const KvCache& cache_;
  const Activations& queries_;
  int64_t position_, first_token_, tokens_, kv_head_, group_;
  bool alone_;
  int64_t rows_, lanes_, tiles_;
  std::vector<float> keys_, values_, q_, scores_, most_, sum_;
  std::vector<float> nothing_;  // of a row: 0, or NaN where the query is not finite, which scores do not show
  std::vector<float> out_;
};

}  // namespace

Activations attend_fast(const AttendArgs& args, const KvCache& cache, const Activations& queries,
                        int64_t first_position) {
  Activations out(queries.count(), args.heads * args.value_dim);
  const int64_t tokens = std::max<int64_t>(1, kRows / (args.heads / args.kv_heads));
  const int64_t tiles = (queries.count() + tokens - 1) / tokens;
  parallel_for(tiles * args.kv_heads, [&](int64_t i) {
    const int64_t first = i / args.kv_heads * tokens;
    FastTile{args,
             cache,
             queries,
             first_position,
             first,
             std::min(tokens, queries.count() - first),
             i % args.kv_heads}
        .run(out);
  });
  return out;
}

}  // namespace snug::infer
