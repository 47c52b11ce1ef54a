// Prints a digest of what each encoder and decoder gives on fixed rows. Two machines, or two instruction sets
// (SNUG_ISA), must print the same. Uses no function whose last bit depends on the C library.

#include <cstdint>
#include <cstdio>
#include <span>
#include <vector>

#include "quant/kernels/dispatch.hpp"
#include "quant/feedback/second_order.hpp"

namespace snug {
namespace {

constexpr int64_t kCols = 2048;

struct Random {
  uint64_t state;
  uint32_t bits() {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return static_cast<uint32_t>(state >> 33);
  }
  float uniform() { return static_cast<float>(bits() >> 7) * 0x1p-24f; }  // 0..1, exact
  float heavy() { return (uniform() - 0.5f) * (uniform() + 0.05f) / (uniform() + 0.02f); }
};

uint64_t digest(std::span<const std::byte> bytes) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (std::byte b : bytes) hash = (hash ^ static_cast<uint8_t>(b)) * 0x100000001b3u;
  return hash;
}

void print_digests(const CodecRow& at) {
  const Codec& codec = at.codec;
  const BlockShape shape = block_shape(at.id);
  Random random{static_cast<uint64_t>(at.id) + 1};
  std::vector<float> row(kCols), importance(kCols);
  for (float& x : row) x = 0.05f * random.heavy();
  for (float& v : importance) v = random.uniform() * random.uniform();
  std::vector<std::byte> blocks(static_cast<size_t>(kCols / shape.block_weights * shape.block_bytes));
  const auto print = [&](const char* what) {
    codec.decode(blocks.data(), kCols, row.data());
    std::printf("%s %s %016llx %016llx\n", format_name(at.id).data(), what,
                static_cast<unsigned long long>(digest(blocks)),
                static_cast<unsigned long long>(digest(std::as_bytes(std::span{row}))));
  };
  if (codec.encode) {
    const std::vector<float> original = row;
    for (int mode = 0; mode < 4; ++mode) {
      codec.encode(
          {original.data(), mode & 1 ? importance.data() : nullptr, nullptr, kCols, mode > 1, blocks.data()});
      print(mode == 0 ? "plain" : mode == 1 ? "weighted" : mode == 2 ? "plain max" : "weighted max");
    }
    std::vector<float> shifted = original;
    for (float& x : shifted) x = 0.93f * x + 0.003f;
    for (int64_t from = 0; codec.recode && from < kCols; from += 256)
      codec.recode({shifted.data() + from, importance.data() + from, from % 512 ? 64 : 0, 192,
                    blocks.data() + from / shape.block_weights * shape.block_bytes});
    print("recoded");
  }
  for (std::byte& b : blocks)
    b = static_cast<std::byte>(random.bits() & 0x3b);  // bits that make no NaN scale
  print("decode");
}

/// Two rows under second moments of neighbours that go together.
void print_second_order(const Format& format) {
  constexpr int64_t cols = 256, rows = 2;
  Random random{static_cast<uint64_t>(format.id) + 1000};
  std::vector<float> weights(rows * cols), moment(cols * cols);
  for (float& x : weights) x = 0.05f * random.heavy();
  for (int64_t i = 0; i < cols; ++i)
    for (int64_t j = 0; j < cols; ++j)
      moment[static_cast<size_t>(i * cols + j)] = (i == j ? 1.0f : 0.6f / static_cast<float>(1 + (i > j ? i - j : j - i)));
  std::vector<std::byte> blocks(static_cast<size_t>(rows * format.row_bytes(cols)));
  encode_second_order(format, {weights.data(), rows, cols}, {{}, {}, kAlongRow},
                      make_curvature({moment.data(), cols, cols}, 0.1), Effort::normal, blocks);
  std::printf("%s second order %016llx\n", format.name.data(), static_cast<unsigned long long>(digest(blocks)));
}

}  // namespace
}  // namespace snug

int main() {
  for (const snug::CodecRow& row : snug::kernels().codecs) snug::print_digests(row);
  for (const snug::Format& format : snug::all_formats())
    if (snug::has_second_order(format)) snug::print_second_order(format);
}
