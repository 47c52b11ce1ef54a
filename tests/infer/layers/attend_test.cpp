#include "infer/layers/attend.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <string_view>

#include "infer/layers/ops.hpp"

namespace snug::infer {
namespace {

Activations normal_rows(std::mt19937_64& random, int64_t count, int64_t width) {
  std::normal_distribution<float> normal;
  Activations rows(count, width);
  for (float& v : rows.values()) v = normal(random);
  return rows;
}

/// A cache that a batch of `batch` tokens after `before` others sees.
KvCache filled(std::mt19937_64& random, FormatId format, const AttendArgs& args, int64_t before,
               int64_t batch) {
  const LayerCacheShape memory{.key_width = args.kv_heads * args.key_dim,
                           .value_width = args.kv_heads * args.value_dim};
  const int64_t cells = args.window > 0 ? std::min(before + batch, args.window + batch - 1) : before + batch;
  KvCache cache{*find_format(format), memory, cells};
  for (int64_t p = 0; p < before + batch; ++p)
    cache.store(p, normal_rows(random, 1, memory.key_width).row(0),
                normal_rows(random, 1, memory.value_width).row(0));
  return cache;
}

TEST(Attend, FastIsExactButForRoundingForEveryShape) {
  for (uint64_t seed = 0; seed < 60; ++seed) {
    std::mt19937_64 random{seed};
    const auto pick = [&](std::initializer_list<int64_t> from) {
      return from.begin()[random() % from.size()];
    };
    AttendArgs args{.heads = 0,
                    .kv_heads = pick({1, 2}),
                    .key_dim = pick({2, 6, 32, 64}),
                    .value_dim = pick({2, 6, 32, 40})};
    args.heads = args.kv_heads * pick({1, 2, 3, 5, 8});
    args.scale = 1 / std::sqrt(static_cast<float>(args.key_dim));
    args.soft_cap = seed % 4 == 1 ? 2.0f : 0;
    args.window = seed % 3 == 1 ? pick({1, 7, 70}) : 0;
    std::vector<float> sinks(static_cast<size_t>(args.heads), 0.5f);
    if (seed % 5 == 2) args.sinks = sinks;
    const int64_t before = pick({0, 1, 63, 200}), batch = pick({1, 2, 5, 33, 70});
    SCOPED_TRACE(::testing::Message()
                 << "seed " << seed << " heads " << args.heads << "/" << args.kv_heads << " before " << before
                 << " batch " << batch << " window " << args.window);
    const KvCache cache = filled(random, FormatId::f32, args, before, batch);
    const Activations q = normal_rows(random, batch, args.heads * args.key_dim);
    const Activations exact = attend(args, cache, q, before);
    args.compute = Compute::fast;
    const Activations fast = attend(args, cache, q, before);
    for (size_t k = 0; k < exact.values().size(); ++k)
      ASSERT_NEAR(fast.values()[k], exact.values()[k], 2e-5f) << k;
  }
}

/// Whoever sees a token with what is no number gives none; masked, it may spoil those before it in its batch.
TEST(Attend, WhatIsNotFiniteStaysSo) {
  constexpr int64_t before = 3, batch = 6, bad_token = 5;
  for (const FormatId format : {FormatId::f32, FormatId::f16, FormatId::q8_0})
    for (const char* part : {"key", "value", "query"}) {
      SCOPED_TRACE(::testing::Message() << find_format(format)->name << " " << part);
      std::mt19937_64 random{1};
      const AttendArgs args{
          .heads = 4, .kv_heads = 2, .key_dim = 32, .value_dim = 32, .scale = 0.2f, .compute = Compute::fast};
      KvCache cache = filled(random, format, args, before, batch);
      Activations key = normal_rows(random, 1, 64), value = normal_rows(random, 1, 64),
           queries = normal_rows(random, batch, 128);
      if (part == std::string_view{"key"}) key.at(0)[40] = NAN;
      if (part == std::string_view{"value"}) value.at(0)[7] = INFINITY;
      if (part == std::string_view{"query"}) queries.at(bad_token - before)[100] = NAN;
      cache.store(bad_token, key.row(0), value.row(0));
      const Activations out = attend(args, cache, queries, before);
      for (int64_t t = 0; t < batch; ++t) {
        const bool of_query = part == std::string_view{"query"};
        if (!of_query && before + t < bad_token) continue;
        const bool finite = std::ranges::all_of(out.row(t), [](float v) { return std::isfinite(v); });
        EXPECT_EQ(finite, of_query && before + t != bad_token) << t;
      }
    }
}

/// Blocks of 64 keys, tiles of 8 queries, windows: one less, just so and one more.
TEST(Attend, FastIsExactAtTheBordersOfBlocksTilesAndWindows) {
  for (const int64_t keys : {63, 64, 65, 127, 128, 129})
    for (const int64_t batch : {1, 4, 5, 7, 8, 9, 31, 32, 33})
      for (const int64_t window : {0, 8, 63, 64, 65}) {
        SCOPED_TRACE(::testing::Message() << keys << " keys, batch " << batch << ", window " << window);
        std::mt19937_64 random{static_cast<uint64_t>(keys * 1000 + batch)};
        AttendArgs args{.heads = 2, .kv_heads = 1, .key_dim = 16, .value_dim = 16, .scale = 0.25f};
        args.window = window;
        const KvCache cache = filled(random, FormatId::f16, args, keys - batch, batch);
        const Activations q = normal_rows(random, batch, 32);
        const Activations exact = attend(args, cache, q, keys - batch);
        args.compute = Compute::fast;
        const Activations fast = attend(args, cache, q, keys - batch);
        for (size_t k = 0; k < exact.values().size(); ++k)
          ASSERT_NEAR(fast.values()[k], exact.values()[k], 2e-5f) << k;
      }
}

/// Heads of 48 share blocks of 32 with their neighbours.
TEST(Attend, PackedCachesAreReadInBothModesAndLoseLittle) {
  for (const int64_t dim : {64, 48})
    for (const FormatId format : {FormatId::f16, FormatId::q8_0}) {
      SCOPED_TRACE(::testing::Message() << dim << " " << format_name(format));
      AttendArgs args{.heads = 4, .kv_heads = 2, .key_dim = dim, .value_dim = dim, .scale = 0.125f};
      std::mt19937_64 random{3};
      const Activations q = normal_rows(random, 20, 4 * dim);
      std::mt19937_64 again = random;
      const Activations unrounded = attend(args, filled(again, FormatId::f32, args, 90, 20), q, 90);
      const KvCache cache = filled(random, format, args, 90, 20);
      const Activations exact = attend(args, cache, q, 90);
      args.compute = Compute::fast;
      const Activations fast = attend(args, cache, q, 90);
      for (size_t k = 0; k < exact.values().size(); ++k) {
        ASSERT_NEAR(fast.values()[k], exact.values()[k], 2e-5f);
        ASSERT_NEAR(exact.values()[k], unrounded.values()[k], format == FormatId::f16 ? 2e-3f : 3e-2f);
      }
    }
}

TEST(Ops, FastNormIsTheNormButForRounding) {
  for (const int64_t width : {1, 7, 8, 31, 32, 33, 300}) {
    std::mt19937_64 random{static_cast<uint64_t>(width)};
    const Activations x = normal_rows(random, 20, width);
    const std::vector<float> weight(static_cast<size_t>(width), 1.25f);
    const Activations exact = rms_norm(x, weight, 1e-5f), fast = rms_norm(x, weight, 1e-5f, Compute::fast);
    for (size_t k = 0; k < exact.values().size(); ++k)
      ASSERT_NEAR(fast.values()[k], exact.values()[k], 2e-6f) << width << " " << k;
  }
}

TEST(Ops, FastSiluIsSiluButForRounding) {
  Activations gate(1, 1001), up(1, 1001);
  for (int k = 0; k < 1001; ++k) {
    gate.at(0)[k] = static_cast<float>(k - 500) * 0.25f;
    up.at(0)[k] = 1.5f;
  }
  Activations fast = gate;
  gate_with(Activation::silu, gate, up);
  gate_with(Activation::silu, fast, up, Compute::fast);
  for (int k = 0; k < 1001; ++k)
    EXPECT_NEAR(fast.at(0)[k], gate.at(0)[k], 1e-6f * std::abs(gate.at(0)[k]) + 1e-30f) << k;
}

}  // namespace
}  // namespace snug::infer
