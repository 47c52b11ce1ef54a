#include "infer/tokenizer/tokenizer.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <sstream>

#include "base/str.hpp"
#include "gguf/reader.hpp"
#include "infer/tokenizer_fixture.hpp"
#include "snug/error.hpp"

namespace snug::infer {
namespace {

using test::MixedText;
using test::SmallVocabulary;
using Ids = std::vector<int32_t>;

/// A tokenizer of a vocabulary in memory, with what it looks into.
struct Made {
  explicit Made(const SmallVocabulary& v) : bytes{v.file().bytes()} {}
  std::string bytes;
  ModelSource file = gguf::read_model(test::as_bytes(bytes), "small");
  Tokenizer tokenizer{file};
};

std::string refusal(const SmallVocabulary& v) {
  try {
    Made{v};
  } catch (const Error& e) {
    return e.what();
  }
  return "accepted";
}

/// SentencePiece with the 256 byte tokens behind <unk> <s> </s>, then `words` with falling scores.
SmallVocabulary spm(const std::vector<std::string>& words) {
  SmallVocabulary v{
      .model = "llama", .tokens = {"<unk>", "<s>", "</s>"}, .types = {2, 3, 3}, .scores = {0, 0, 0}};
  for (int b = 0; b < 256; ++b) {
    std::array<char, 8> name{};
    std::snprintf(name.data(), name.size(), "<0x%02X>", static_cast<unsigned>(b));
    v.tokens.push_back(name.data());
    v.types.push_back(6);
    v.scores.push_back(0);
  }
  for (const std::string& word : words) {
    v.tokens.push_back(word);
    v.scores.push_back(-static_cast<float>(v.tokens.size()));
  }
  return v;
}

SmallVocabulary letters() {
  return spm({"\u2581", "a", "b", "ab", "\u2581ab", "é", "abab"});
}
constexpr int32_t kByte0 = 3, kMark = 259, kA = 260, kAB = 262, kMarkAB = 263, kEAcute = 264, kABAB = 265;

std::vector<std::string> records(const std::string& text) {
  const std::string_view separator = "\n__ggml_vocab_test__\n";
  std::vector<std::string> all;
  size_t at = 0;
  for (size_t end; (end = text.find(separator, at)) != text.npos; at = end + separator.size())
    all.push_back(text.substr(at, end - at));
  return all;
}

TEST(Tokenizer, GivesTheIdsOfEveryReferenceString) {
  if (test::shared_folder().empty()) GTEST_SKIP() << "the folder ../shared is not there";
  const auto vocabularies = test::reference_vocabularies();
  for (const auto& path : vocabularies) {
    SCOPED_TRACE(path.filename());
    const ModelSource file = open_model(path);
    const Tokenizer tokenizer{file};
    const std::vector<std::string> texts = records(test::read_file(path.string() + ".inp"));
    std::istringstream lines{test::read_file(path.string() + ".out")};
    EXPECT_GE(texts.size(), 40u);
    for (const std::string& text : texts) {
      std::string line;
      std::getline(lines, line);
      std::istringstream numbers{line};
      const Ids expected{std::istream_iterator<int32_t>{numbers}, {}};
      EXPECT_EQ(tokenizer.encode(text, false, false), expected) << text;
    }
  }
}

TEST(Tokenizer, DecodesWhatItEncoded) {
  const auto vocabularies = test::reference_vocabularies();
  for (const auto& path : vocabularies) {
    const ModelSource file = open_model(path);
    const Tokenizer tokenizer{file};
    for (uint64_t seed = 0; seed < 20; ++seed) {
      SCOPED_TRACE(str(path.filename(), " seed ", seed));
      const std::string text = MixedText{seed}.make(2000);
      TokenStream stream{tokenizer};
      std::string back;
      for (const int32_t id : tokenizer.encode(text, false, false)) back += stream.add(id);
      back += stream.finish();
      const bool blank = tokenizer.vocabulary().kind() == VocabularyKind::spm;
      EXPECT_EQ(back, (blank ? " " : "") + text);
    }
  }
}

TEST(Tokenizer, ALongTextTakesNoLongTime) {
  const auto vocabularies = test::reference_vocabularies();
  constexpr size_t kBytes = 1 << 20;
  std::vector<std::string> texts{MixedText{7}.make(kBytes)};
  for (const char* unit : {"a", " ", "\n", "7", "A", ".", "é", "字", "\xFF", " \n", "\xE3\x80\x80"}) {
    std::string text;
    while (text.size() < kBytes / 4) text += unit;
    texts.push_back(text + "x1");
  }
  for (const auto& path : vocabularies) {
    const ModelSource file = open_model(path);
    const Tokenizer tokenizer{file};
    for (const std::string& text : texts) {
      const auto begin = std::chrono::steady_clock::now();
      EXPECT_FALSE(tokenizer.encode(text, true, true).empty());
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
      EXPECT_LT(took.count(), 20) << path << " on " << text.substr(0, 8);  // quadratic time would be hours
    }
  }
}

TEST(Tokenizer, SentencePieceJoinsTheBestScoreFirst) {
  const Made made{letters()};
  const auto ids = [&](std::string_view text) { return made.tokenizer.encode(text, false, false); };
  EXPECT_EQ(ids("ab"), (Ids{kMarkAB}));
  EXPECT_EQ(ids("a"), (Ids{kMark, kA}));
  // abab joins to ab ab; the first of them goes to the blank, for ▁ab has the better score
  EXPECT_EQ(ids("abab"), (Ids{kMarkAB, kAB}));
  EXPECT_EQ(ids("éz"), (Ids{kMark, kEAcute, kByte0 + 'z'}));
  EXPECT_EQ(ids(""), Ids{});
}

TEST(Tokenizer, SentencePieceLeavesAlienBytesAsBytes) {
  const Made made{letters()};
  EXPECT_EQ(made.tokenizer.encode(std::string_view{"a\0\xC3", 3}, true, false),
            (Ids{1, kMark, kA, kByte0, kByte0 + 0xC3}));
  EXPECT_EQ(made.tokenizer.encode("", true, false), Ids{1});
}

TEST(Tokenizer, BlanksInsideTokensAreJoinedAcrossWords) {
  SmallVocabulary v = letters();
  v.tokens.push_back("b\u2581");
  v.scores.push_back(100);
  v.flags = {{"add_space_prefix", false}, {"add_bos_token", false}, {"add_eos_token", true}};
  const Made made{v};
  EXPECT_EQ(made.tokenizer.encode("ab a", true, false), (Ids{kA, kABAB + 1, kA, 2}));
}

TEST(Tokenizer, ControlTokensAreOnlyReadWhereAskedFor) {
  SmallVocabulary v = letters();
  v.tokens.insert(v.tokens.end(), {"<|im_end|>", "<user>", "<user><user>"});
  v.types.resize(v.tokens.size(), 1);
  v.types[266] = 3;
  v.types[267] = v.types[268] = 4;
  v.scores.resize(v.tokens.size(), -1000);
  const Made made{v};
  const auto ids = [&](std::string_view text, bool special) {
    return made.tokenizer.encode(text, false, special);
  };
  EXPECT_EQ(ids("ab<user>ab", false), (Ids{kMarkAB, 267, kMarkAB}));
  EXPECT_EQ(ids("<user><user><user>", false), (Ids{268, 267}));
  EXPECT_EQ(ids("<|im_end|>ab", true), (Ids{266, kMarkAB}));
  EXPECT_GT(ids("<|im_end|>ab", false).size(), 2u);
  EXPECT_EQ(ids("a</s>", true), (Ids{kMark, kA, 2}));
  EXPECT_EQ(made.tokenizer.eot(), 266);
  EXPECT_TRUE(made.tokenizer.ends_generation(266));
  EXPECT_TRUE(made.tokenizer.ends_generation(2));
  EXPECT_FALSE(made.tokenizer.ends_generation(267));
  EXPECT_EQ(made.tokenizer.piece(266), "");
  EXPECT_EQ(made.tokenizer.piece(266, true), "<|im_end|>");
  EXPECT_EQ(made.tokenizer.piece(267), "<user>");
}

TEST(Tokenizer, Phi3SwallowsBlanksBehindItsControlTokens) {
  SmallVocabulary v = letters();
  v.tokens.push_back("<|end|>");
  v.types.resize(v.tokens.size(), 1);
  v.types.back() = 3;
  v.scores.push_back(0);
  const std::string bytes = v.file().key("general.name", "Phi-3 mini").bytes();
  const ModelSource file = gguf::read_model(test::as_bytes(bytes), "phi");
  EXPECT_EQ((Tokenizer{file}.encode("<|end|> \n ab", false, true)), (Ids{266, kMarkAB}));
}

TEST(Tokenizer, BytePairsJoinInTheOrderOfTheMerges) {
  SmallVocabulary v{.tokens = {"a", "b", "c", "ab", "bc", "abc", "Ġ", "Ġa"},
                    .merges = {"b c", "a b", "a bc", "Ġ a"}};
  const Made made{v};
  EXPECT_EQ(made.tokenizer.encode("abc", true, false), Ids{5});
  EXPECT_EQ(made.tokenizer.encode("ab", false, false), Ids{3});
  EXPECT_EQ(made.tokenizer.encode(" abc", false, false), (Ids{6, 5}));
  EXPECT_EQ(made.tokenizer.encode("a?b", false, false),
            (Ids{0, 1}));               // no token for '?': lost, as the reference does
  EXPECT_EQ(made.tokenizer.bos(), -1);  // 11 by default, but there are 8 tokens
}

TEST(Tokenizer, Gemma4ReadsCharactersAndFallsBackToBytes) {
  SmallVocabulary v = letters();
  v.model = "gemma4";
  v.scores.clear();
  v.tokens.insert(v.tokens.end(), {"\n", "\n\n"});
  v.merges = {"a b", "\u2581 ab", "ab ab"};
  v.numbers = {{"bos_token_id", 1}};
  v.flags = {{"add_bos_token", false}};  // forced all the same
  const Made made{v};
  EXPECT_EQ(made.tokenizer.encode("ab ababé\n\n", true, false), (Ids{1, kAB, kMarkAB, kAB, kEAcute, 267}));
  EXPECT_EQ(made.tokenizer.encode("ü", false, false), (Ids{kByte0 + 0xC3, kByte0 + 0xBC}));
  EXPECT_EQ(made.tokenizer.encode("\xFF", false, false), (Ids{kByte0 + 0xEF, kByte0 + 0xBF, kByte0 + 0xBD}));
}

TEST(Tokenizer, BytePairsReadBrokenCharactersAsReplacements) {
  const Made made{test::every_pair_of_bytes("llama-bpe")};
  const auto text_of = [&](std::string_view text) {
    return made.tokenizer.decode(made.tokenizer.encode(text, false, false));
  };
  EXPECT_EQ(text_of("a\xFFz"), "a\uFFFDz");
  EXPECT_EQ(text_of("\xE2\x82"), "\uFFFD\uFFFD");
  EXPECT_EQ(text_of("\xED\xA0\x80 x"), "\xED\xA0\x80 x");  // a surrogate passes
  EXPECT_EQ(text_of(std::string_view{"\0\0a", 3}), (std::string{"\0\0a", 3}));
  for (uint64_t seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE(seed);
    MixedText random{seed};
    std::string noise(random.below(60), '\0');
    for (char& c : noise) c = static_cast<char>(random.below(256));
    EXPECT_NO_THROW(made.tokenizer.encode(noise, true, true));
  }
}

TEST(Tokenizer, SaysWhatItDoesNotKnow) {
  SmallVocabulary v = test::every_pair_of_bytes("no-such");
  EXPECT_NE(refusal(v).find("'no-such' is not known"), std::string::npos) << refusal(v);
  EXPECT_NE(refusal(v).find("llama-bpe"), std::string::npos);
  v.model = "bert";
  EXPECT_NE(refusal(v).find("gemma4"), std::string::npos) << refusal(v);
  v.model = "none";
  EXPECT_NE(refusal(v).find("no tokenizer"), std::string::npos) << refusal(v);
}

TEST(Tokenizer, RefusesListsThatDoNotFit) {
  SmallVocabulary v = letters();
  v.scores.pop_back();
  EXPECT_NE(refusal(v).find("scores for"), std::string::npos) << refusal(v);
  v = letters();
  v.scores[5] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_NE(refusal(v).find("score of token 5"), std::string::npos) << refusal(v);
  v = letters();
  v.tokens.back() = "a";
  EXPECT_NE(refusal(v).find("are the same: 'a'"), std::string::npos) << refusal(v);
  v = {.tokens = {"a", "b"}, .merges = {"ab"}};
  EXPECT_NE(refusal(v).find("merge 0 is no pair"), std::string::npos) << refusal(v);
  v = {.tokens = {}};
  EXPECT_NE(refusal(v).find("missing"), std::string::npos) << refusal(v);
  const Made made{letters()};
  EXPECT_THROW(made.tokenizer.piece(-1), Error);
  EXPECT_THROW(made.tokenizer.piece(made.tokenizer.size()), Error);
}

TEST(Tokenizer, SpecialIdsOutsideTheVocabularyAreNone) {
  SmallVocabulary v = letters();
  v.numbers = {{"bos_token_id", 70000}, {"eos_token_id", 4}};
  const Made made{v};
  EXPECT_EQ(made.tokenizer.bos(), 1);  // the kind's default
  EXPECT_EQ(made.tokenizer.eos(), 4);
}

TEST(Tokenizer, HarmonyTokensStayVisibleAndEndDoesNotEnd) {
  SmallVocabulary v = test::every_pair_of_bytes("gpt-4o");
  const auto first = static_cast<int32_t>(v.tokens.size());
  v.tokens.insert(v.tokens.end(), {"<|return|>", "<|call|>", "<|end|>", "<|channel|>"});
  v.types.assign(v.tokens.size(), 1);
  for (int i = 0; i < 4; ++i) v.types[static_cast<size_t>(first + i)] = 3;
  const Made made{v};
  EXPECT_TRUE(made.tokenizer.ends_generation(first));
  EXPECT_FALSE(made.tokenizer.ends_generation(first + 2));
  EXPECT_EQ(made.tokenizer.piece(first + 2), "<|end|>");
  EXPECT_EQ(made.tokenizer.piece(first + 3), "<|channel|>");
}

TEST(Tokenizer, WholeTextsLoseTheBlankInFrontAndThoseBeforeSigns) {
  const Made made{letters()};
  EXPECT_EQ(made.tokenizer.decode(Ids{kMarkAB, kMarkAB}), "ab ab");
  EXPECT_EQ(made.tokenizer.decode(Ids{1, kMarkAB}), " ab");  // BOS took the place in front
  const Made pairs{test::every_pair_of_bytes("llama-bpe")};
  const auto back = [&](std::string_view text) {
    return pairs.tokenizer.decode(pairs.tokenizer.encode(text, false, false));
  };
  EXPECT_EQ(back("Hello , it 's 5 ' 6 ?"), "Hello, it's 5'6?");
}

TEST(TokenStream, NeverGivesHalfACharacter) {
  const Made made{letters()};
  for (uint64_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE(seed);
    MixedText random{seed};
    TokenStream stream{made.tokenizer};
    std::string given, bytes;
    for (size_t i = 0; i < 40; ++i) {
      constexpr std::array<int, 12> likely{0xE2, 0x82, 0xAC, 0xF0, 0x9F, 0xA6,
                                           0x99, 'a',  0xED, 0xC3, 0xA9, 0x80};
      const auto id = static_cast<int32_t>(kByte0 + likely[random.below(likely.size())]);
      bytes += made.tokenizer.piece(id);
      const std::string out = stream.add(id);
      EXPECT_EQ(out, valid_utf8(out));
      given += out;
    }
    given += stream.finish();
    EXPECT_EQ(given, valid_utf8(bytes));
  }
}

TEST(TokenStream, WaitsOnlyAsLongAsItMust) {
  const Made made{letters()};
  TokenStream stream{made.tokenizer};
  EXPECT_EQ(stream.add(kByte0 + 0xE2), "");
  EXPECT_EQ(stream.add(kByte0 + 0x82), "");
  EXPECT_EQ(stream.add(kByte0 + 0xAC), "€");
  EXPECT_EQ(stream.add(kByte0 + 0xF0), "");
  EXPECT_EQ(stream.add(kByte0 + 'a'), "\uFFFDa");
  EXPECT_EQ(stream.add(kByte0 + 0xC0), "\uFFFD");
  EXPECT_EQ(stream.add(kByte0 + 0xC3), "");
  EXPECT_EQ(stream.finish(), "\uFFFD");
  EXPECT_EQ(stream.finish(), "");
}

}  // namespace
}  // namespace snug::infer
