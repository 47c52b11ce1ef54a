#include <gtest/gtest.h>

#include <charconv>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "base/half.hpp"
#include "base/str.hpp"
#include "quant/encode_as_mlx.hpp"
#include "quant/planes.hpp"
#include "support/scratch.hpp"

// The golden values of tests/data/mlx: what MLX makes of given weights, byte for byte.

namespace snug {
namespace {

using Words = std::vector<std::string>;
using Bytes = std::vector<std::byte>;

/// Lines that are no comment, split at blanks.
std::vector<Words> lines_of(const char* name) {
  std::ifstream file{test::data_folder() / "mlx" / name};
  std::vector<Words> lines;
  for (std::string line; std::getline(file, line);) {
    std::istringstream in{line};
    Words words;
    for (std::string word; in >> word;) words.push_back(word);
    if (!words.empty() && words[0][0] != '#') lines.push_back(words);
  }
  return lines;
}

uint64_t fnv(std::span<const std::byte> bytes) {
  uint64_t hash = 1469598103934665603u;
  for (const std::byte b : bytes) hash = (hash ^ std::to_integer<uint64_t>(b)) * 1099511628211u;
  return hash;
}
std::string hash_text(std::span<const std::byte> bytes) {
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(fnv(bytes)));
  return text;
}

std::string hex(std::span<const std::byte> bytes) {
  std::string text;
  for (const std::byte b : bytes) {
    char two[3];
    std::snprintf(two, sizeof two, "%02x", std::to_integer<unsigned>(b));
    text += two;
  }
  return text;
}

/// 16-bit numbers as the files write them: the high byte first.
std::string hex16(std::span<const std::byte> bytes) {
  std::string text;
  for (size_t i = 0; i + 1 < bytes.size(); i += 2) text += hex(bytes.subspan(i + 1, 1)) + hex(bytes.subspan(i, 1));
  return text;
}

/// The 4096 weights of vectors.txt, as its README says.
std::vector<float> vector_input() {
  uint64_t state = 42;
  std::vector<float> out(4096);
  for (float& x : out) {
    uint64_t z = state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    z ^= z >> 31;
    x = from_bf16(to_bf16((static_cast<float>(z >> 40) / 0x1p24f - 0.5f) * 0.25f));
  }
  return out;
}

/// The groups of edge.txt by number.
std::map<std::string, std::vector<float>> edge_inputs() {
  std::map<std::string, std::vector<float>> groups;
  for (const Words& line : lines_of("edge.txt")) {
    if (line[0] != "input") continue;
    for (size_t at = 0; at < line[2].size(); at += 4) {
      uint16_t bits = 0;
      std::from_chars(line[2].data() + at, line[2].data() + at + 4, bits, 16);
      groups[line[1]].push_back(from_bf16(bits));
    }
  }
  return groups;
}

const Format& affine(std::string_view bits, std::string_view group) {
  return *find_format(str("mlx_q", bits, "_g", group));
}

Bytes encode(const Format& format, std::span<const float> row, const MlxRule& rule) {
  Bytes blocks(static_cast<size_t>(format.row_bytes(static_cast<int64_t>(row.size()))));
  encode_as_mlx(format, row, rule, blocks.data());
  return blocks;
}

Bytes plane(const Format& format, size_t number, const Bytes& blocks) {
  const Plane& p = format.planes[number];
  Bytes out(blocks.size() / format.block_bytes * p.bytes);
  split_plane(format, p, blocks, out);
  return out;
}

/// Hash of what the blocks decode to.
std::string decoded_hash(const Format& format, const Bytes& blocks) {
  std::vector<float> row(blocks.size() / format.block_bytes * format.block_weights);
  format.decode(blocks.data(), row);
  return hash_text(std::as_bytes(std::span{row}));
}

constexpr MlxRule kCpuOld{MlxRule::Device::cpu, MlxRule::Exponent::nearest};
constexpr MlxRule kCpuNew{MlxRule::Device::cpu, MlxRule::Exponent::ceil};
constexpr MlxRule kGpuOld{MlxRule::Device::gpu, MlxRule::Exponent::nearest};

/// "key=value" words of a line.
std::map<std::string, std::string> values_of(const Words& line) {
  std::map<std::string, std::string> out;
  for (const std::string& word : line)
    if (const size_t at = word.find('='); at != std::string::npos) out[word.substr(0, at)] = word.substr(at + 1);
  return out;
}

void expect_hashes(const Format& format, const Bytes& blocks, const Words& line) {
  const auto wanted = values_of(line);
  const char* keys[] = {"w", "s", "b"};
  for (size_t p = 0; p < format.planes.size(); ++p)
    EXPECT_EQ(hash_text(plane(format, p, blocks)), wanted.at(keys[p])) << keys[p];
  if (wanted.contains("f")) {
    EXPECT_EQ(decoded_hash(format, blocks), wanted.at("f")) << "decoded";
  }
}

TEST(MlxGolden, LongRowsAreEncodedAsBothDevicesDo) {
  const std::vector<float> input = vector_input();
  int rows = 0;
  for (const Words& line : lines_of("vectors.txt")) {
    if (line[0] == "input") continue;
    SCOPED_TRACE(testing::PrintToString(line));
    const bool is_affine = line[0] == "affine";
    const Format& format = is_affine ? affine(line[1].substr(1), line[2].substr(1)) : *find_format("mlx_" + line[0]);
    const MlxRule rule = is_affine && line[3] == "cpu" ? kCpuOld : kGpuOld;
    expect_hashes(format, encode(format, input, rule), line);
    ++rows;
  }
  EXPECT_GT(rows, 20);
}

TEST(MlxGolden, EdgeCasesAreEncodedAsBothDevicesDo) {
  const auto inputs = edge_inputs();
  int rows = 0;
  for (const Words& line : lines_of("edge.txt")) {
    if (line[0] == "input") continue;
    SCOPED_TRACE(testing::PrintToString(line));
    const bool is_affine = line[0] == "affine";
    const size_t at = is_affine ? 4 : 1;
    const Format& format = is_affine ? affine(line[1], line[2]) : *find_format("mlx_" + line[0]);
    const MlxRule rule = is_affine && line[3] == "cpu" ? kCpuOld : kGpuOld;
    const Bytes blocks = encode(format, inputs.at(line[at]), rule);
    EXPECT_EQ(hex(plane(format, 0, blocks)), line[at + 1]);
    const Bytes scales = plane(format, 1, blocks);
    std::string wanted;
    for (size_t i = at + 2; i < line.size() - (is_affine ? 1 : 0); ++i) wanted += line[i];
    EXPECT_EQ(is_affine ? hex16(scales) : hex(scales), wanted);
    if (is_affine) {
      EXPECT_EQ(hex16(plane(format, 2, blocks)), line.back());
    }
    ++rows;
  }
  EXPECT_GT(rows, 300);
}

TEST(MlxGolden, RealMlxEncodesAndDecodesTheSame) {
  const auto inputs = edge_inputs();
  const std::vector<float> input = vector_input();
  int rows = 0;
  for (const Words& line : lines_of("real.txt")) {
    SCOPED_TRACE(testing::PrintToString(line));
    const bool is_affine = line[0] == "affine";
    const std::string last = line.back();
    if (last.starts_with("f=")) {
      const Format& format =
          is_affine ? affine(line[1].substr(1), line[2].substr(1)) : *find_format("mlx_" + line[0]);
      expect_hashes(format, encode(format, input, kCpuNew), line);
    } else {
      const size_t at = is_affine ? 3 : 1;
      const Format& format = is_affine ? affine(line[1], line[2]) : *find_format("mlx_" + line[0]);
      const Bytes blocks = encode(format, inputs.at(line[at]), kCpuNew);
      EXPECT_EQ(hex(plane(format, 0, blocks)), line[at + 1]);
      EXPECT_EQ(is_affine ? hex16(plane(format, 1, blocks)) : hex(plane(format, 1, blocks)), line[at + 2]);
      if (is_affine) {
        EXPECT_EQ(hex16(plane(format, 2, blocks)), line[at + 3]);
      }
      EXPECT_EQ(decoded_hash(format, blocks), last);
    }
    ++rows;
  }
  EXPECT_GT(rows, 200);
}

}  // namespace
}  // namespace snug
