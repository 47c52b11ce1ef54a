// Writes the fuzzers' first inputs: make_seeds FOLDER fills FOLDER/gguf, FOLDER/imatrix,
// FOLDER/imatrix_merge and FOLDER/base_logits. Each is below 4 kB.
#include <cstdio>
#include <string>

#include "support/gguf_bytes.hpp"

namespace {

using snug::test::GgufBytes;

std::string strings(const std::vector<std::string>& texts) {
  std::string bytes = GgufBytes::le<uint32_t>(8) + GgufBytes::le<uint64_t>(texts.size());
  for (const std::string& text : texts) bytes += GgufBytes::text(text);
  return bytes;
}

GgufBytes all_value_types() {
  GgufBytes file;
  file.key("general.architecture", "llama").key("u8", 0, GgufBytes::le<uint8_t>(1));
  file.key("i16", 3, GgufBytes::le<int16_t>(-1))
      .key("f32", 6, GgufBytes::le(1.5f))
      .key("b", 7, GgufBytes::le<uint8_t>(1));
  file.key("u64", 10, GgufBytes::le<uint64_t>(1))
      .key("f64", 12, GgufBytes::le(0.5))
      .key("words", 9, strings({"a", "", "b"}));
  return file.key("numbers", 9,
                  GgufBytes::le<uint32_t>(5) + GgufBytes::le<uint64_t>(1) + GgufBytes::le<int32_t>(7));
}

GgufBytes tensors() {
  GgufBytes file;
  file.key("general.architecture", "llama").key_u32("llama.block_count", 1).key_u32("general.alignment", 32);
  file.f32("token_embd.weight", {4, 2}, std::vector<float>(8, 0.5f));
  file.tensor("blk.0.ffn_down_exps.weight", {32, 1, 3}, 8, std::string(102, '\1'));
  return file.tensor("blk.0.attn_v.weight", {256}, 12, std::string(144, '\2'));
}

GgufBytes version2() {
  GgufBytes file;
  file.version = 2;
  return file.key("split.no", 2, GgufBytes::le<uint16_t>(0))
      .key("split.count", 2, GgufBytes::le<uint16_t>(2));
}

GgufBytes imatrix() {
  GgufBytes file;
  file.key("general.type", "imatrix").key("imatrix.datasets", 9, strings({"calib"}));
  file.key_u32("imatrix.chunk_count", 3).key_u32("imatrix.chunk_size", 256);
  file.f32("a.in_sum2", {2}, {8, 18}).f32("a.counts", {1}, {2}).f32("a.in_sum", {2}, {4, -6});
  return file.f32("e.in_sum2", {2, 3}, {4, 8, 0, 0, 30, 60}).f32("e.counts", {1, 3}, {1, 0, 3});
}

/// Two parts with second moments, as fuzz_imatrix_merge takes them.
std::string two_parts() {
  GgufBytes file = imatrix();
  file.key("imatrix.moment_tensors", 9, strings({"a", "a2"}))
      .key("imatrix.moment_inputs", 9, strings({"a", "a"}));
  file.f32("a.in_moment", {2, 2}, {8, 1, 1, 18}).f32("a.moment_counts", {1}, {2});
  const std::string part = file.bytes();
  return GgufBytes::le(static_cast<uint16_t>(part.size())) + part + part;
}

std::string legacy_imatrix() {
  std::string bytes = GgufBytes::le<int32_t>(1) + GgufBytes::le<int32_t>(1) + "a" + GgufBytes::le<int32_t>(4);
  bytes += GgufBytes::le<int32_t>(2) + GgufBytes::le(8.0f) + GgufBytes::le(12.0f);
  return bytes + GgufBytes::le<int32_t>(31) + GgufBytes::le<int32_t>(4) + "text";
}

/// Two chunks of 8 tokens, 3 of each scored, a vocabulary of 5 (6 codes a row).
std::string base_logits() {
  std::string bytes =
      "_logits_" + GgufBytes::le<uint32_t>(8) + GgufBytes::le<int32_t>(5) + GgufBytes::le<int32_t>(2);
  for (int32_t i = 0; i < 16; ++i) bytes += GgufBytes::le<int32_t>(i % 5);
  for (int row = 0; row < 6; ++row) {
    bytes += GgufBytes::le(0.001f) + GgufBytes::le(-9.0f);
    for (int code = 0; code < 6; ++code) bytes += GgufBytes::le<uint16_t>(static_cast<uint16_t>(code * 1500));
  }
  return bytes;
}

void save(const std::filesystem::path& path, const std::string& bytes) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream{path, std::ios::binary}.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: make_seeds FOLDER\n", stderr);
    return 2;
  }
  const std::filesystem::path folder = argv[1];
  save(folder / "gguf" / "values", all_value_types().bytes());
  save(folder / "gguf" / "tensors", tensors().bytes());
  save(folder / "gguf" / "version2", version2().bytes());
  save(folder / "imatrix" / "gguf", imatrix().bytes());
  save(folder / "imatrix" / "legacy", legacy_imatrix());
  save(folder / "imatrix_merge" / "two_parts", two_parts());
  save(folder / "base_logits" / "two_chunks", base_logits());
}
