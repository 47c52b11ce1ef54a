#include "audit/card.hpp"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdlib>
#include <initializer_list>
#include <optional>
#include <string_view>

#include "base/json_reader.hpp"
#include "base/str.hpp"
#include "base/units.hpp"

namespace snug {
namespace {

constexpr double kRounding = 0.06;  // of bits per weight: cards give one or two decimals

std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

/// Lines, cut at a full stop or a semicolon before a blank.
std::vector<std::string> sentences_of(const std::string& card) {
  std::vector<std::string> sentences(1);
  for (size_t i = 0; i < card.size(); ++i) {
    const bool stops = (card[i] == '.' || card[i] == ';') && i + 1 < card.size() && std::isspace(static_cast<unsigned char>(card[i + 1]));
    if (card[i] == '\n' || stops)
      sentences.emplace_back();
    else
      sentences.back() += card[i];
  }
  return sentences;
}

bool holds_any(const std::string& text, std::initializer_list<std::string_view> words) {
  return std::ranges::any_of(words, [&](std::string_view word) { return text.find(word) != text.npos; });
}

bool says_unquantized(const std::string& text) {
  return holds_any(text, {"full precision", "full-precision", "unquantized", "not quantized", "bf16", "bfloat16", "fp16",
                          "float16", "16-bit", "16 bit"});
}

bool says_eight_bits(const std::string& text) { return holds_any(text, {"8-bit", "8 bit", "8bit", "int8"}); }

/// The number that ends right before `at`, blanks between them.
std::optional<double> number_before(const std::string& text, size_t at) {
  while (at > 0 && text[at - 1] == ' ') --at;
  size_t begin = at;
  while (begin > 0 && (std::isdigit(static_cast<unsigned char>(text[begin - 1])) || text[begin - 1] == '.')) --begin;
  if (begin == at || !std::isdigit(static_cast<unsigned char>(text[begin]))) return {};
  return std::strtod(text.substr(begin, at - begin).c_str(), nullptr);
}

void check_bits(const std::string& text, const std::string& sentence, const CardFacts& facts,
                std::vector<std::string>& found) {
  for (const char* unit : {"bpw", "bits per weight", "bits/weight"})
    for (size_t at = text.find(unit); at != text.npos; at = text.find(unit, at + 1)) {
      const auto said = number_before(text, at);
      if (!said || std::abs(*said - facts.bits_per_weight) < kRounding ||
          std::abs(*said - facts.raw_bits_per_weight) < kRounding)
        continue;
      found.push_back(str("the card says ", significant(*said), " bits per weight, it is ", fixed(facts.bits_per_weight, 3),
                          " (", fixed(facts.raw_bits_per_weight, 3), " without scales): ", quoted(sentence)));
    }
}

void check_part(const char* part, int bits, const std::string& text, const std::string& sentence,
                std::vector<std::string>& found) {
  if (bits == 0) return;
  const bool false_of_16 = says_unquantized(text) && bits < 16, false_of_8 = says_eight_bits(text) && bits < 8;
  if (false_of_16 || false_of_8)
    found.push_back(str("the card says of the ", part, ": ", quoted(sentence), "; it has ", bits, " bits"));
}

}  // namespace

std::vector<std::string> contradictions_of_card(const std::string& card, const CardFacts& facts) {
  std::vector<std::string> found;
  for (const std::string& sentence : sentences_of(card)) {
    const std::string text = lower(sentence);
    check_bits(text, sentence, facts, found);
    if (text.find("embed") != text.npos) check_part("embedding", facts.embedding_bits, text, sentence, found);
    if (text.find("router") != text.npos) check_part("router", facts.router_bits, text, sentence, found);
  }
  return found;
}

}  // namespace snug
