// read_bench FILE [--threads N] [-r N]
//
// How fast a mapped file can be read over and over, which is what bounds decoding: GB/s by the number of
// rows read side by side and by how far ahead their bytes are asked for. Medians of repetitions that take
// turns.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <exception>
#include <iostream>
#include <vector>

#include "base/files/mapped_file.hpp"
#include "base/parallel.hpp"
#include "quant/kernels/bits.hpp"
#include "snug/error.hpp"

namespace {

using namespace snug;

constexpr int64_t kRow = 4096, kPiece = int64_t{1} << 20;  // bytes
constexpr int kRowCounts[] = {1, 2, 4}, kDistances[] = {0, 2048, 8192, 16384};

/// The sum of some bytes, `rows` rows side by side.
template <int rows, int ahead>
uint64_t read(const std::byte* from, int64_t bytes) {
  constexpr int64_t step = 128;
  uint64_t sum[rows][step / 8] = {};
  for (; bytes >= rows * kRow; bytes -= rows * kRow, from += rows * kRow)
    for (int64_t k = 0; k + step <= kRow; k += step)
      for (int r = 0; r < rows; ++r) {
        const std::byte* at = from + r * kRow + k;
        if constexpr (ahead > 0) prefetch<ahead>(at, step);
        uint64_t part[step / 8];
        std::memcpy(part, at, step);
        for (int n = 0; n < step / 8; ++n) sum[r][n] += part[n];
      }
  uint64_t all = 0;
  for (const auto& of_row : sum)
    for (const uint64_t s : of_row) all += s;
  return all;
}

using Read = uint64_t (*)(const std::byte*, int64_t);
constexpr Read kReads[std::size(kRowCounts)][std::size(kDistances)] = {
    {read<1, 0>, read<1, 2048>, read<1, 8192>, read<1, 16384>},
    {read<2, 0>, read<2, 2048>, read<2, 8192>, read<2, 16384>},
    {read<4, 0>, read<4, 2048>, read<4, 8192>, read<4, 16384>}};

double bytes_per_second(const MappedFile& file, Read read) {
  const auto size = static_cast<int64_t>(file.bytes().size());
  std::atomic<uint64_t> sum{0};
  const auto start = std::chrono::steady_clock::now();
  with_spinning_threads([&] {
    parallel_ranges(size, kPiece, [&](int64_t begin, int64_t end) {
      sum += read(file.bytes().data() + begin, end - begin);
    });
  });
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return sum.load() == 1 ? 0 : static_cast<double>(size) / seconds;
}

void bench(const std::string& path, int repeats) {
  const MappedFile file{path};
  std::vector<double> speeds[std::size(kRowCounts)][std::size(kDistances)];
  for (int r = -1; r < repeats; ++r)
    for (size_t n = 0; n < std::size(kRowCounts); ++n)
      for (size_t d = 0; d < std::size(kDistances); ++d) {
        const double speed = bytes_per_second(file, kReads[n][d]);
        if (r >= 0) speeds[n][d].push_back(speed);
      }
  std::printf("| rows |");
  for (const int distance : kDistances) std::printf(" %d ahead |", distance);
  std::printf("\n|---:|---:|---:|---:|---:|\n");
  for (size_t n = 0; n < std::size(kRowCounts); ++n) {
    std::printf("| %d |", kRowCounts[n]);
    for (auto& of : speeds[n]) {
      std::ranges::sort(of);
      std::printf(" %.1f |", of[of.size() / 2] * 1e-9);
    }
    std::printf("\n");
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::string file;
  int threads = 0, repeats = 7;
  CLI::App app{"how fast a mapped file can be read over and over, in GB/s"};
  app.add_option("FILE", file)->required()->check(CLI::ExistingFile);
  app.add_option("--threads", threads)->check(CLI::PositiveNumber);
  app.add_option("-r", repeats)->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);
  try {
    snug::set_threads(threads);
    bench(file, repeats);
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
