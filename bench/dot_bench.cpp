// dot_bench [--format NAME]... [--mib N] [-r N]
//
// Row dot products and decoding of every format on one thread beside a plain read of the same bytes, in GB/s
// of packed weights, and dot products of repacked rows, in GB/s of those: median of repetitions that take
// turns.

#include <algorithm>
#include <cstdio>
#include <exception>
#include <random>

#include "base/aligned.hpp"
#include "base/large_memory.hpp"
#include "base/parallel.hpp"
#include "format_bench.hpp"
#include "infer/kernels/activations.hpp"

namespace {

using namespace snug;
using namespace snug::infer;

constexpr int64_t kCols = 4096;

/// A matrix of that many bytes: encoded rows, repeated.
std::vector<std::byte> matrix_of(const Format& format, int64_t bytes) {
  constexpr int64_t distinct = 16;
  std::mt19937_64 random{1};
  std::normal_distribution<float> normal;
  std::vector<float> row(kCols);
  const int64_t row_bytes = format.row_bytes(kCols), rows = std::max<int64_t>(distinct, bytes / row_bytes);
  std::vector<std::byte> data(static_cast<size_t>(rows * row_bytes));
  for (int64_t r = 0; r < rows; ++r) {
    std::byte* to = data.data() + r * row_bytes;
    if (r >= distinct) {
      std::copy_n(to - distinct * row_bytes, row_bytes, to);
      continue;
    }
    for (float& v : row) v = normal(random);
    format.encode(row, {}, Effort::normal, to);
  }
  return data;
}

/// Rows repacked, and products with them; nothing where a format has no such form.
class Repacked {
 public:
  Repacked(const Format& format, const std::vector<std::byte>& data)
      : format_{packed_kernels().find_repacked(format.id)} {
    if (!format_) return;
    const int64_t from_bytes = format.row_bytes(kCols), to_bytes = format_->row_bytes(kCols);
    count_ = static_cast<int64_t>(data.size()) / from_bytes / kStripRows * kStripRows;
    memory_ = LargeMemory{count_ * to_bytes};
    format_->repack({data.data(), from_bytes, count_, kCols}, memory_.data());
  }
  void dots(const RoundedRow& x, float* y) const {
    if (format_) format_->products.dots({memory_.data(), format_->row_bytes(kCols), count_, kCols}, x, y);
  }
  double bytes() const { return format_ ? static_cast<double>(count_ * format_->row_bytes(kCols)) : 0; }

 private:
  const RepackedFormat* format_;
  int64_t count_ = 0;
  LargeMemory memory_;
};

void bench(const Format& format, int64_t bytes, int repeats) {
  const MatmulKernels& kernels = packed_kernels();
  const PackedFormat& packed = *kernels.find(format.id);
  const std::vector<std::byte> data = matrix_of(format, bytes);
  const int64_t row_bytes = format.row_bytes(kCols), rows = static_cast<int64_t>(data.size()) / row_bytes;
  Activations x(1, kCols);
  for (int64_t k = 0; k < kCols; ++k) x.at(0)[k] = static_cast<float>(k % 17) - 8;
  const QuantizedActivations in{kernels, packed, x, QuantizedActivations::Use::dots};
  std::vector<float> y(static_cast<size_t>(rows));
  FloatRow decoded(kCols);
  const Repacked repacked{format, data};
  std::vector<double> read, dot, decode, strips;
  uint64_t sum = 0;
  for (int r = 0; r < repeats; ++r) {
    read.push_back(
        seconds([&] { sum += kernels.read(data.data(), static_cast<int64_t>(data.size()) / 128 * 128); }));
    dot.push_back(seconds([&] { packed.dots({data.data(), row_bytes, rows, kCols}, in.row(0), y.data()); }));
    strips.push_back(seconds([&] { repacked.dots(in.row(0), y.data()); }));
    decode.push_back(seconds([&] {
      for (int64_t k = 0; k < rows; ++k) format.decode(data.data() + k * row_bytes, decoded);
    }));
  }
  const double size = static_cast<double>(data.size()) * 1e-9;
  const double r = size / median(read), d = size / median(dot), e = size / median(decode);
  std::printf("| %s | %.1f | %.1f | %.0f %% | %.1f | %.0f %% | %.0f | %.1f |\n",
              std::string{format.name}.c_str(), r, d, 100 * d / r, e, 100 * e / r,
              d * 1e3 * 8 / format.bits_per_weight(), repacked.bytes() * 1e-9 / median(strips));
  std::fflush(stdout);
  if (sum == 1) std::puts("");
}

}  // namespace

int main(int argc, char** argv) try {
  FormatBench asked{.mib = 64, .repeats = 5};
  CLI::App app{"row dot products and decoding beside a plain read"};
  asked.add_to(app, "bytes of each matrix", 1 << 16);
  CLI11_PARSE(app, argc, argv);
  set_threads(1);
  std::printf(
      "| format | read GB/s | dot GB/s | of read | decode GB/s | of read | dot Mw/s | repacked "
      "GB/s |\n|---|---:|---:|---:|---:|---:|---:|---:|\n");
  for (const Format& format : all_formats())
    if (asked.wants(format)) bench(format, asked.mib << 20, asked.repeats);
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
