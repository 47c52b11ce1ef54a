// stock_bench [--format NAME]... [--mib N] [-r N]
//
// Encoding into MLX's formats on one thread: as MLX itself rounds, beside a plain min-max pass over the same
// groups and beside our search, in millions of weights a second: medians of repetitions that take turns. The
// search has a sixteenth of the weights.

#include <algorithm>
#include <cstdio>
#include <exception>
#include <random>
#include <vector>

#include "base/half.hpp"
#include "format_bench.hpp"
#include "min_max_pass.hpp"
#include "quant/encode_as_mlx.hpp"
#include "snug/quantize.hpp"

namespace {

using namespace snug;

constexpr int64_t kCols = 4096;

void bench(const Format& format, const std::vector<float>& weights, int repeats) {
  const auto rows = static_cast<int64_t>(weights.size()) / kCols, few = std::max<int64_t>(rows / 16, 1);
  const int levels = 1 << static_cast<int>(std::min(8.0, format.bits_per_weight()));
  std::vector<std::byte> blocks(static_cast<size_t>(format.row_bytes(kCols)));
  std::vector<uint8_t> codes(kCols);
  std::vector<float> scales(kCols / 4);
  const auto each_row = [&](int64_t number, auto&& work) {
    for (int64_t r = 0; r < number; ++r)
      work(std::span<const float>{weights.data() + r * kCols, static_cast<size_t>(kCols)});
  };
  std::vector<double> plain, gpu, cpu, ours;
  for (int r = 0; r < repeats; ++r) {
    plain.push_back(seconds([&] {
      each_row(rows, [&](auto row) {
        min_max_pass(row.data(), kCols, format.block_weights, levels, codes.data(), scales.data());
      });
    }));
    gpu.push_back(seconds([&] {
      each_row(rows, [&](auto row) { encode_as_mlx(format, row, {}, blocks.data()); });
    }));
    cpu.push_back(seconds([&] {
      each_row(rows, [&](auto row) { encode_as_mlx(format, row, {MlxRule::Device::cpu}, blocks.data()); });
    }));
    ours.push_back(seconds([&] {
      each_row(few, [&](auto row) { format.encode(row, {}, Effort::normal, blocks.data()); });
    }));
  }
  const double all = static_cast<double>(rows * kCols) * 1e-6, p = all / median(plain), g = all / median(gpu),
               c = all / median(cpu), o = static_cast<double>(few * kCols) * 1e-6 / median(ours);
  std::printf("| %s | %.0f | %.0f | %.2f | %.0f | %.2f | %.1f |\n", std::string{format.name}.c_str(), p, g, p / g, c,
              p / c, o);
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) try {
  FormatBench asked{.mib = 32, .repeats = 7};
  CLI::App app{"encoding into MLX's formats beside a plain min-max pass"};
  asked.add_to(app, "bytes of weights", 1 << 12);
  CLI11_PARSE(app, argc, argv);
  std::vector<float> weights(static_cast<size_t>(asked.mib << 18));
  std::mt19937_64 random{1};
  std::normal_distribution<float> normal;
  for (float& w : weights) w = from_bf16(to_bf16(normal(random)));
  std::printf("| Mw/s | min-max | as MLX on a GPU | times slower | as MLX on a CPU | times slower | ours |\n"
              "|---|---:|---:|---:|---:|---:|---:|\n");
  for (const Format& format : formats(Family::mlx))
    if (asked.wants(format)) bench(format, weights, asked.repeats);
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
