#include "infer/matmul.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>

#include "base/large_memory.hpp"
#include "base/parallel.hpp"
#include "infer/kernels/kernels.hpp"

namespace snug::infer {
namespace {

struct Made {
  std::vector<std::byte> data;
  Weight weight;
  LargeMemory repacked{};
};

/// As Model::repack() does, where the machine's kernels gain by it.
void repack(Made& made) {
  Weight& w = made.weight;
  const RepackedFormat* format = packed_kernels().find_repacked(w.format->id);
  if (!format || w.rows % kStripRows != 0) return;
  const int64_t from = w.format->row_bytes(w.cols), to = format->row_bytes(w.cols),
                rows = w.matrices * w.rows;
  made.repacked = LargeMemory{rows * to};
  format->repack({made.data.data(), from, rows, w.cols}, made.repacked.data());
  w.repacked = {made.repacked.data(), static_cast<size_t>(rows * to)};
}

Made make_weight(std::mt19937_64& random, const Format& format, int64_t rows, int64_t cols,
                 int64_t matrices) {
  Made made;
  made.data.resize(static_cast<size_t>(matrices * rows * format.row_bytes(cols)));
  std::normal_distribution<float> normal;
  std::vector<float> row(static_cast<size_t>(cols));
  for (int64_t r = 0; r < matrices * rows; ++r) {
    for (float& v : row) v = normal(random);
    format.encode(row, {}, Effort::normal, made.data.data() + r * format.row_bytes(cols));
  }
  made.weight = {"w", &format, cols, rows, matrices, made.data};
  return made;
}

Activations make_rows(std::mt19937_64& random, int64_t count, int64_t width) {
  std::normal_distribution<float> normal;
  Activations rows(count, width);
  for (float& v : rows.values()) v = normal(random);
  return rows;
}

/// Fast differs from exact by the rounding of activations: 8 bits of them, so about half a per cent.
TEST(Matmul, FastIsNearExactForEveryFormatShapeAndMatrix) {
  for (const Format& format : all_formats())
    for (uint64_t seed = 0; seed < 3; ++seed) {
      SCOPED_TRACE(::testing::Message() << format.name << " seed " << seed);
      std::mt19937_64 random{seed};
      const auto rows = static_cast<int64_t>(1 + random() % 100),
                 tokens = static_cast<int64_t>(1 + random() % 12);
      const int64_t cols = format.block_weights == 1 ? 131 : 512;
      const Made made = make_weight(random, format, rows, cols, 2);
      const Activations x = make_rows(random, tokens, cols);
      const Activations exact = matmul(made.weight, 1, x, Compute::exact),
                 fast = matmul(made.weight, 1, x, Compute::fast);
      double error = 0, size = 0;
      for (size_t k = 0; k < exact.values().size(); ++k) {
        error += std::pow(static_cast<double>(fast.values()[k] - exact.values()[k]), 2);
        size += std::pow(static_cast<double>(exact.values()[k]), 2);
      }
      EXPECT_LE(std::sqrt(error), 0.012 * std::sqrt(size));
    }
}

/// Kernels take 32 columns at a time; blocks of nvfp4 in MLX have 16.
TEST(Matmul, ColumnsThatNoKernelTakesAreDecoded) {
  std::mt19937_64 random{1};
  const Made made = make_weight(random, *find_format(FormatId::mlx_nvfp4), 20, 48, 1);
  for (const int64_t tokens : {1, 9}) {
    const Activations x = make_rows(random, tokens, 48);
    const Activations exact = matmul(made.weight, 0, x, Compute::exact),
                      fast = matmul(made.weight, 0, x, Compute::fast);
    EXPECT_EQ(std::memcmp(exact.at(0), fast.at(0), exact.values().size_bytes()), 0) << tokens;
  }
}

TEST(Matmul, FastIsTheSameOnAnyNumberOfThreads) {
  for (const FormatId id : {FormatId::q4_K, FormatId::q8_0, FormatId::iq3_s, FormatId::f16})
    for (const int64_t tokens : {1, 4, 30}) {
      SCOPED_TRACE(::testing::Message() << format_name(id) << " tokens " << tokens);
      std::mt19937_64 random{1};
      const Made made = make_weight(random, *find_format(id), 333, 1024, 1);
      const Activations x = make_rows(random, tokens, 1024);
      const Activations first = matmul(made.weight, 0, x, Compute::fast);
      for (const int n : {1, 2, 3}) {
        set_threads(n);
        const Activations again = matmul(made.weight, 0, x, Compute::fast);
        EXPECT_EQ(std::memcmp(first.at(0), again.at(0), first.values().size_bytes()), 0) << n << " threads";
      }
      set_threads(0);
    }
}

/// Matrices of different formats and shapes, some of which share their rounded input, are what they are
/// alone.
TEST(Matmul, ProductsTogetherAreThoseOneByOne) {
  for (const Compute compute : {Compute::exact, Compute::fast})
    for (const int64_t tokens : {1, 4, 5, 33}) {
      SCOPED_TRACE(::testing::Message()
                   << (compute == Compute::fast ? "fast" : "exact") << ", tokens " << tokens);
      std::mt19937_64 random{7};
      std::vector<Made> made;
      std::vector<WeightSlice> factors;
      for (const FormatId id :
           {FormatId::q4_K, FormatId::q8_0, FormatId::f16, FormatId::iq3_s, FormatId::q4_1})
        made.push_back(
            make_weight(random, *find_format(id), 1 + static_cast<int64_t>(random() % 80), 512, 2));
      for (const Made& m : made) factors.push_back({&m.weight, static_cast<int64_t>(factors.size() % 2)});
      const Activations x = make_rows(random, tokens, 512);
      const std::vector<Activations> together = matmul_each(factors, x, compute);
      ASSERT_EQ(together.size(), factors.size());
      for (size_t i = 0; i < factors.size(); ++i) {
        const Activations alone = matmul(*factors[i].weight, factors[i].matrix, x, compute);
        ASSERT_EQ(alone.values().size(), together[i].values().size());
        EXPECT_EQ(std::memcmp(alone.at(0), together[i].at(0), alone.values().size_bytes()), 0) << i;
      }
    }
}

/// Second matrices of three, alone and beside weights that are not repacked, on any number of threads.
TEST(Matmul, RepackedWeightsMultiplyAsTheFilesDo) {
  for (const RepackedFormat& format : packed_kernels().repacked)
    for (const int64_t tokens : {1, 4, 5, 24, 60}) {
      SCOPED_TRACE(::testing::Message() << format_name(format.products.id) << ", tokens " << tokens);
      std::mt19937_64 random{static_cast<uint64_t>(tokens)};
      Made made = make_weight(random, *find_format(format.products.id), 144, 512, 3);
      const Made other = make_weight(random, *find_format(FormatId::iq3_s), 37, 512, 1);
      const Activations x = make_rows(random, tokens, 512);
      const Activations plain = matmul(made.weight, 1, x, Compute::fast),
                 exact = matmul(made.weight, 1, x, Compute::exact),
                 beside = matmul(other.weight, 0, x, Compute::fast);
      repack(made);
      ASSERT_FALSE(made.weight.repacked.empty());
      const Activations once = matmul(made.weight, 1, x, Compute::fast);
      for (size_t k = 0; k < plain.values().size(); ++k)
        EXPECT_NEAR(once.values()[k], plain.values()[k], 2e-4f) << k;  // sums in another order
      const auto same = [](const Activations& a, const Activations& b) {
        return std::memcmp(a.at(0), b.at(0), a.values().size_bytes()) == 0;
      };
      EXPECT_TRUE(same(matmul(made.weight, 1, x, Compute::exact), exact));
      for (const int n : {1, 2, 3}) {
        set_threads(n);
        const std::vector<Activations> both =
            matmul_each(std::vector<WeightSlice>{{&other.weight, 0}, {&made.weight, 1}}, x, Compute::fast);
        EXPECT_TRUE(same(both[0], beside)) << n << " threads";
        EXPECT_TRUE(same(both[1], once)) << n << " threads";
      }
      set_threads(0);
    }
}

}  // namespace
}  // namespace snug::infer
