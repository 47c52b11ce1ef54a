#include <array>
#include <limits>

#include "base/events.hpp"
#include "base/str.hpp"
#include "infer/tokenizer/merge.hpp"
#include "infer/tokenizer/merger.hpp"
#include "infer/tokenizer/utf8.hpp"
#include "snug/error.hpp"

namespace snug::infer {
namespace {

/// Whether a blank stands behind anything but blanks in a token's text.
bool blank_inside(std::string_view text) {
  while (text.starts_with(kSpaceMark)) text.remove_prefix(kSpaceMark.size());
  return text.find(kSpaceMark) != text.npos;
}

class SpmMerger final : public Merger {
 public:
  explicit SpmMerger(const Vocabulary& vocabulary) : vocabulary_{vocabulary} {
    for (int32_t id = 0; id < vocabulary.size(); ++id)
      words_apart_ = words_apart_ && !blank_inside(vocabulary.text(id));
    for (size_t b = 0; b < bytes_.size(); ++b) {
      bytes_[b] = byte_token(vocabulary, static_cast<uint8_t>(b));
      if (bytes_[b] < 0) bytes_[b] = vocabulary.special(Special::unk);
    }
  }

  void encode(std::string_view text, std::vector<int32_t>& ids) const override {
    Scratch scratch;
    while (!text.empty()) {
      const size_t length = words_apart_ ? word_length(text) : text.size();
      encode_word(text.substr(0, length), scratch, ids);
      text.remove_prefix(length);
    }
  }

 private:
  struct Scratch {
    std::vector<Symbol> symbols;
    std::vector<Candidate<double>> heap;
  };

  /// Up to the first blank behind something else. Where no token has one, nothing is ever joined across it.
  static size_t word_length(std::string_view text) {
    size_t at = 0;
    while (text.substr(at).starts_with(kSpaceMark)) at += kSpaceMark.size();
    // By characters: a blank's bytes may have been swallowed by a broken character before it.
    while (at < text.size() && !text.substr(at).starts_with(kSpaceMark)) at += char_length(text, at);
    return at;
  }

  void encode_word(std::string_view word, Scratch& scratch, std::vector<int32_t>& ids) const {
    check_cancelled();
    scratch.symbols.clear();
    for (size_t at = 0; at < word.size(); at += char_length(word, at))
      scratch.symbols.push_back(
          {.begin = static_cast<uint32_t>(at), .length = static_cast<uint32_t>(char_length(word, at))});
    merge_symbols(scratch.symbols, scratch.heap,
                  [&](const Symbol& a, const Symbol& b) -> std::optional<Merged<double>> {
                    const int32_t id = vocabulary_.find(word.substr(a.begin, size_t{a.length} + b.length));
                    if (id < 0) return {};
                    return Merged<double>{-double{vocabulary_.score(id)}, id};
                  });
    for (const Symbol& symbol : scratch.symbols)
      if (symbol.length) append(symbol, word.substr(symbol.begin, symbol.length), ids);
  }

  void append(const Symbol& symbol, std::string_view text, std::vector<int32_t>& ids) const {
    if (const int32_t id = symbol.id >= 0 ? symbol.id : vocabulary_.find(text); id >= 0)
      return ids.push_back(id);
    for (const char c : text) {
      const int32_t id = bytes_[static_cast<uint8_t>(c)];
      if (id < 0)
        throw Error{str("the vocabulary has no token for byte ", int{static_cast<uint8_t>(c)}),
                    {},
                    "use a model converted with byte tokens or an unknown token"};
      ids.push_back(id);
    }
  }

  const Vocabulary& vocabulary_;
  bool words_apart_ = true;
  std::array<int32_t, 256> bytes_{};
};

}  // namespace

int32_t byte_token(const Vocabulary& vocabulary, uint8_t byte) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  const std::string name = str("<0x", digits[byte >> 4], digits[byte & 15], ">");
  const int32_t named = vocabulary.find(name);
  return named >= 0 ? named : vocabulary.find(std::string(1, static_cast<char>(byte)));
}

std::unique_ptr<Merger> make_spm_merger(const Vocabulary& vocabulary) {
  return std::make_unique<SpmMerger>(vocabulary);
}

}  // namespace snug::infer
