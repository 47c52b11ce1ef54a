#pragma once

#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "infer/tokenizer/byte_map.hpp"
#include "infer/tokenizer/utf8.hpp"
#include "support/gguf_bytes.hpp"
#include "support/scratch.hpp"
#include "support/tiny_model.hpp"

namespace snug::test {

inline std::string read_file(const std::filesystem::path& path) {
  std::ifstream in{path, std::ios::binary};
  return {std::istreambuf_iterator<char>{in}, {}};
}

/// The vocabularies with test strings, in ../shared/reference/vocab: the .gguf files.
inline std::vector<std::filesystem::path> reference_vocabularies() {
  std::vector<std::filesystem::path> found;
  const std::filesystem::path shared = shared_folder();
  if (shared.empty()) return {tiny_model()};
  for (const auto& entry : std::filesystem::directory_iterator{shared / "reference/vocab"})
    if (entry.path().extension() == ".gguf") found.push_back(entry.path());
  std::ranges::sort(found);
  return found;
}

/// A vocabulary put together by a test; nothing but what a tokenizer reads.
struct SmallVocabulary {
  std::string model = "gpt2", pre = "gpt-2";
  std::vector<std::string> tokens{};
  std::vector<int32_t> types{};  // shorter than tokens: the rest are normal
  std::vector<float> scores{};   // empty: none in the file
  std::vector<std::string> merges{};
  std::vector<std::pair<std::string, uint32_t>> numbers{};  // further keys
  std::vector<std::pair<std::string, bool>> flags{};

  GgufBytes file() const {
    const auto list = [](uint32_t type, size_t count, const std::string& values) {
      return GgufBytes::le(type) + GgufBytes::le(uint64_t{count}) + values;
    };
    const auto texts = [&](const std::vector<std::string>& all) {
      std::string values;
      for (const std::string& text : all) values += GgufBytes::text(text);
      return list(8, all.size(), values);
    };
    GgufBytes out;
    out.key("general.architecture", "llama")
        .key_u32("llama.block_count", 1)
        .key_u32("llama.context_length", 64);
    out.key_u32("llama.embedding_length", 64).key_u32("llama.attention.head_count", 1);
    out.key_u32("llama.feed_forward_length", 64);
    out.key("llama.attention.layer_norm_rms_epsilon", 6, GgufBytes::le(1e-5f));
    out.key("tokenizer.ggml.model", model).key("tokenizer.ggml.pre", pre);
    out.key("tokenizer.ggml.tokens", 9, texts(tokens));
    std::string bytes;
    for (size_t i = 0; i < tokens.size(); ++i) bytes += GgufBytes::le(i < types.size() ? types[i] : 1);
    out.key("tokenizer.ggml.token_type", 9, list(5, tokens.size(), bytes));
    bytes.clear();
    for (const float score : scores) bytes += GgufBytes::le(score);
    if (!scores.empty()) out.key("tokenizer.ggml.scores", 9, list(6, scores.size(), bytes));
    if (model != "llama") out.key("tokenizer.ggml.merges", 9, texts(merges));
    for (const auto& [key, value] : numbers) out.key_u32("tokenizer.ggml." + key, value);
    for (const auto& [key, value] : flags) out.key("tokenizer.ggml." + key, 7, GgufBytes::le(value));
    return out;
  }
};

/// Every pair of bytes is a token: a word cut at another place almost always gives other ids.
inline SmallVocabulary every_pair_of_bytes(const std::string& pre) {
  SmallVocabulary v{.pre = pre};
  const auto& bytes = infer::printable_bytes();
  v.tokens.assign(bytes.begin(), bytes.end());
  for (const std::string& a : bytes)
    for (const std::string& b : bytes) {
      v.tokens.push_back(a + b);
      v.merges.push_back(a + " " + b);
    }
  return v;
}

/// Text of many scripts, digits, blanks of all kinds, contractions and signs.
class MixedText {
 public:
  explicit MixedText(uint64_t seed) : random_{seed} {}

  std::string make(size_t bytes) {
    std::string text;
    while (text.size() < bytes) text += chunk();
    while (infer::unfinished_tail(std::string_view{text}.substr(0, bytes))) --bytes;
    return text.substr(0, bytes);
  }
  size_t below(size_t n) { return std::uniform_int_distribution<size_t>{0, n - 1}(random_); }

 private:
  std::string chunk() {
    static constexpr std::array<std::string_view, 34> pieces{"Hello",
                                                             " world",
                                                             " the",
                                                             "'s",
                                                             "'LL",
                                                             " don't",
                                                             "We'Ve",
                                                             "\n",
                                                             "\r\n",
                                                             "  ",
                                                             "\t",
                                                             " \n \n",
                                                             "123",
                                                             "7",
                                                             "1234567",
                                                             ",",
                                                             "...",
                                                             " =",
                                                             "!?",
                                                             "日本語",
                                                             "中文字",
                                                             "한국어",
                                                             " Български",
                                                             "ÀBC",
                                                             "été",
                                                             "e\xCC\x81",
                                                             "\xE2\x80\x83",
                                                             "\xE3\x80\x80",
                                                             "\xC2\xA0",
                                                             "🦙",
                                                             "👩‍👩‍👧",
                                                             "½",
                                                             "٣٤",
                                                             "camelCaseWORDS/"};
    static constexpr std::array<std::pair<char32_t, char32_t>, 14> scripts{{{0x20, 0x7E},
                                                                            {0xA0, 0x17F},
                                                                            {0x370, 0x3FF},
                                                                            {0x400, 0x4FF},
                                                                            {0x590, 0x6FF},
                                                                            {0x900, 0x97F},
                                                                            {0xE00, 0xE7F},
                                                                            {0x1E00, 0x1FFF},
                                                                            {0x2000, 0x206F},
                                                                            {0x2190, 0x22FF},
                                                                            {0x3000, 0x30FF},
                                                                            {0x4E00, 0x9FA5},
                                                                            {0xAC00, 0xD7A3},
                                                                            {0x1F300, 0x1F6FF}}};
    std::string text;
    if (below(3)) return std::string{pieces[below(pieces.size())]};
    const auto [first, last] = scripts[below(scripts.size())];
    for (size_t n = 1 + below(6); n > 0; --n)
      infer::append_utf8(text, first + static_cast<char32_t>(below(last - first + 1)));
    return text;
  }

  std::mt19937_64 random_;
};

}  // namespace snug::test
