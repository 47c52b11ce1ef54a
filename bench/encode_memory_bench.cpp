// encode_memory_bench [--mib N] [-r N]
//
// The encoders that should be bound by memory, on one thread, beside plain reading and copying: GB/s of bytes
// read and written, medians of repetitions that take turns.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <functional>
#include <random>
#include <vector>

#include "infer/kernels/kernels.hpp"
#include "quant/kernels/kernels.hpp"
#include "snug/quantize.hpp"

namespace {

using namespace snug;

constexpr int64_t kCols = 2048;

struct Work {
  const char* name;
  double bytes_per_weight;  // read and written
  std::function<void(const float* row, std::byte* to)> one_row;
  std::vector<double> seconds = {};
};

double seconds(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void copy_by_vectors(const float* from, std::byte* to) {
  using Eight [[gnu::vector_size(32), gnu::aligned(4), gnu::may_alias]] = float;
  for (int64_t i = 0; i < kCols; i += 8)
    *reinterpret_cast<Eight*>(to + 4 * i) = *reinterpret_cast<const Eight*>(from + i);
}

void add_encoder(std::vector<Work>& all, const char* name, const char* whole_name, FormatId id) {
  const Format& format = *find_format(id);
  const double bytes = 4 + format.bits_per_weight() / 8;
  all.push_back({name, bytes, [id](const float* row, std::byte* to) {
                   const auto codecs = kernels().codecs;
                   std::ranges::find(codecs, id, &CodecRow::id)->codec.encode({row, nullptr, nullptr, kCols, false, to});
                 }});
  all.push_back({whole_name, bytes, [&format](const float* row, std::byte* to) {
                   const auto size = static_cast<size_t>(format.row_bytes(kCols));
                   quantize(format, {row, 1, kCols}, {}, Effort::normal, {to, size});
                 }});
}

}  // namespace

int main(int argc, char** argv) {
  int64_t mib = 128;
  int repeats = 7;
  CLI::App app{"encoders that should be bound by memory, beside plain reading and copying"};
  app.add_option("--mib", mib, "bytes of weights")->check(CLI::Range(1, 1 << 14));
  app.add_option("-r", repeats)->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);

  const int64_t rows = (mib << 20) / (4 * kCols);
  std::vector<float> weights(static_cast<size_t>(rows * kCols));
  std::mt19937 random{1};
  for (float& w : weights) w = static_cast<float>(random() % 65536) * 0x1p-20f - 0x1p-5f;
  std::vector<std::byte> out(weights.size() * sizeof(float));

  uint64_t sum = 0;
  std::vector<Work> all;
  all.push_back({"plain read", 4, [&sum](const float* row, std::byte*) {
                   sum += infer::packed_kernels().read(row, kCols * 4);
                 }});
  all.push_back(
      {"`memcpy` row by row", 8, [](const float* row, std::byte* to) { std::memcpy(to, row, kCols * 4); }});
  all.push_back({"vector loop that copies", 8, copy_by_vectors});
  add_encoder(all, "f16, kernel", "f16, `quantize()`", FormatId::f16);
  add_encoder(all, "bf16, kernel", "bf16, `quantize()`", FormatId::bf16);
  add_encoder(all, "q8_0, kernel", "q8_0, `quantize()`", FormatId::q8_0);

  for (int r = 0; r < repeats; ++r)
    for (Work& work : all) {
      const auto bytes = static_cast<int64_t>(kCols * (work.bytes_per_weight - 4));
      work.seconds.push_back(seconds([&] {
        for (int64_t row = 0; row < rows; ++row)
          work.one_row(weights.data() + row * kCols, out.data() + row * bytes);
      }));
    }
  std::printf("| | GB/s | Mw/s |\n|---|---:|---:|\n");
  for (Work& work : all) {
    std::ranges::sort(work.seconds);
    const double weights_per_second =
        static_cast<double>(rows * kCols) / work.seconds[work.seconds.size() / 2];
    std::printf("| %s | %.1f | %.0f |\n", work.name, weights_per_second * work.bytes_per_weight * 1e-9,
                weights_per_second * 1e-6);
  }
  if (sum == 1) std::puts("");
}
