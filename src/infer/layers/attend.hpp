#pragma once

#include <cstdint>
#include <span>

#include "infer/kv_cache.hpp"
#include "infer/rows.hpp"
#include "infer/weight.hpp"

namespace snug::infer {

/// Scaled dot-product attention over cached keys and values.
struct AttendArgs {
  int64_t heads = 0, kv_heads = 0;  // query head h reads key/value head h / (heads / kv_heads)
  int64_t key_dim = 0, value_dim = 0;
  float scale = 1;
  float soft_cap = 0;              // of the scores; 0: none
  int64_t window = 0;              // a query at p sees keys p - window + 1 to p; 0: all up to p
  std::span<const float> sinks{};  // [heads] or empty: join the softmax's denominator
  Compute compute = Compute::exact;
};

/// queries [tokens, heads * key_dim], the first at `first_position`; keys and values of these and of all
/// earlier visible positions are stored in `cache`. Returns [tokens, heads * value_dim]. The result for a
/// token does not depend on the batch it came in. Memory: scores of a few queries at a time.
Activations attend(const AttendArgs& args, const KvCache& cache, const Activations& queries,
                   int64_t first_position);

/// The same in blocks of keys with a running maximum: what attend() does for Compute::fast. Equal but for f32
/// rounding; memory does not grow with the context.
Activations attend_fast(const AttendArgs& args, const KvCache& cache, const Activations& queries,
                        int64_t first_position);

}  // namespace snug::infer
