#include <gtest/gtest.h>

#include <cstdlib>

#include <algorithm>
#include <sstream>

#include "base/str.hpp"
#include "infer/tokenizer/pre_tokenizer.hpp"
#include "infer/tokenizer/tokenizer.hpp"
#include "infer/tokenizer_fixture.hpp"
#include "interop/real_llama.hpp"

namespace snug::infer {
namespace {

using test::MixedText;
using test::RealLlama;
using Ids = std::vector<int32_t>;

/// The same ids from both for any text; else where they part.
void expect_same(const Tokenizer& ours, const RealLlama::Model& real, const std::string& text,
                 bool add_special, bool parse_special) {
  const Ids a = ours.encode(text, add_special, parse_special);
  const Ids b = real.tokenize(text, add_special, parse_special);
  if (a == b) return;
  const auto at = static_cast<size_t>(std::ranges::mismatch(a, b).in1 - a.begin());
  std::string before;
  for (size_t i = at < 8 ? 0 : at - 8; i < at; ++i) before += ours.piece(a[i], true) + "|";
  ADD_FAILURE() << "token " << at << " of " << a.size() << " and " << b.size() << ": "
                << (at < a.size() ? ours.piece(a[at], true) : "none") << " against "
                << (at < b.size() ? ours.piece(b[at], true) : "none") << " after " << before;
}

class TokenizerBesideLlama : public testing::Test {
 protected:
  void SetUp() override {
    const auto libraries = RealLlama::find_libraries();
    if (libraries.empty()) {
      ASSERT_EQ(std::getenv("SNUG_REQUIRE_LLAMA"), nullptr)
          << "tools/fetch_llama did not bring the libraries";
      GTEST_SKIP() << "the libraries of llama.cpp are not there: run tools/fetch_llama";
    }
    static const RealLlama loaded{libraries};
    llama = &loaded;
  }

  void compare(const std::filesystem::path& path, const std::vector<std::string>& texts) {
    SCOPED_TRACE(path.filename());
    const ModelSource file = open_model(path);
    const Tokenizer ours{file};
    const auto real = llama->load_vocabulary(path);
    for (const std::string& text : texts)
      for (const auto& [add, parse] : {std::pair{false, false}, {true, true}})
        expect_same(ours, *real, text, add, parse);
  }

  const RealLlama* llama = nullptr;
  test::Scratch scratch;
};

TEST_F(TokenizerBesideLlama, AMegabyteOfMixedTextGivesTheSameIds) {
  const std::filesystem::path shared = test::shared_folder();
  std::string text;
  auto files = test::reference_vocabularies();
  if (!shared.empty()) {
    text = test::read_file(shared / "text/eval.txt") + test::read_file(shared / "text/calib.txt");
    for (const char* name : {"tiny-f16.gguf", "moe-f16.gguf", "stories260K-f32.gguf"}) files.push_back(shared / "models" / name);
  }
  text += MixedText{1}.make((1 << 20) - text.size());
  for (const auto& path : files) compare(path, {text});
}

TEST_F(TokenizerBesideLlama, SpecialTokensInTheTextGiveTheSameIds) {
  const std::vector<std::string> marks{
      "<s>", "</s>", "<unk>", "<|endoftext|>", "<|end|>", "<|user|>", "<fim_prefix>", ">>TITLE<<", "<0x0A>",
      " ",   "\n",   "a",     "Hi there",      "<",       "|>"};
  std::vector<std::string> texts;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    MixedText random{seed};
    texts.emplace_back();
    for (size_t n = random.below(12); n > 0; --n) texts.back() += marks[random.below(marks.size())];
  }
  for (const auto& path : test::reference_vocabularies()) compare(path, texts);
}

TEST_F(TokenizerBesideLlama, BrokenUtf8GivesTheSameIds) {
  std::vector<std::string> texts;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    MixedText random{seed};
    texts.push_back(random.make(random.below(80)));
    for (size_t n = 0; n < 3 && !texts.back().empty();
         ++n)  // no byte above F4: llama.cpp ends the process on some
      texts.back()[random.below(texts.back().size())] = static_cast<char>(random.below(0xF0));
  }
  for (const auto& path : test::reference_vocabularies()) compare(path, texts);
}

/// The first name of each row on much text, its other names on a little.
TEST_F(TokenizerBesideLlama, EveryPreTokenizerCutsAtTheSamePlaces) {
  std::vector<std::string> texts;
  for (uint64_t seed = 0; seed < 60; ++seed) texts.push_back(MixedText{seed}.make(20 + 10 * seed));
  const std::vector<std::string> some(texts.end() - 4, texts.end());
  for (const PreTokenizer& row : pre_tokenizers()) {
    if (row.raw) continue;
    std::istringstream names{row.names};
    bool first = true;
    for (std::string name; names >> name; first = false) {
      const auto path = scratch / (name + ".gguf");
      test::every_pair_of_bytes(name).file().save(path);
      compare(path, first ? texts : some);
    }
  }
}

/// Gemma 4 reads characters, not bytes: pairs of letters and of blanks with letters merge, runs of line ends
/// are tokens, anything else falls back to bytes.
TEST_F(TokenizerBesideLlama, Gemma4sVocabularyGivesTheSameIds) {
  test::SmallVocabulary v{.model = "gemma4", .pre = "gemma4"};
  v.tokens = {"<pad>", "<eos>", "<bos>", "<unk>", "\n", "\n\n", "\n\n\n"};
  v.types = {3, 3, 3, 3, 1, 1, 1};
  for (int b = 0; b < 256; ++b) {
    constexpr std::string_view digits = "0123456789ABCDEF";
    v.tokens.push_back(
        str("<0x", digits[static_cast<size_t>(b >> 4)], digits[static_cast<size_t>(b & 15)], ">"));
    v.types.push_back(6);
  }
  std::vector<std::string> letters{"\xE2\x96\x81", "é", "日", "本", ",", "7"};
  for (char c = 'a'; c <= 'z'; ++c) letters.emplace_back(1, c);
  v.tokens.insert(v.tokens.end(), letters.begin(), letters.end());
  for (const std::string& a : letters)
    for (const std::string& b : letters) {
      v.tokens.push_back(a + b);
      v.merges.push_back(a + " " + b);
    }
  v.numbers = {{"bos_token_id", 2}, {"eos_token_id", 1}, {"unknown_token_id", 3}, {"padding_token_id", 0}};
  const auto path = scratch / "gemma4.gguf";
  v.file().save(path);
  std::vector<std::string> texts{"", " ", "  a", "once upon a time\n\n\nthere was", "\n\n\n\n", "é日本 7,7"};
  for (uint64_t seed = 0; seed < 60; ++seed) texts.push_back(MixedText{seed}.make(20 + 10 * seed));
  compare(path, texts);
}

}  // namespace
}  // namespace snug::infer
