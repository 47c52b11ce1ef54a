#include <array>
#include <limits>
#include <optional>
#include <string>
#include <unordered_map>

#include "base/events.hpp"
#include "base/str.hpp"
#include "base/printable.hpp"
#include "infer/tokenizer/byte_map.hpp"
#include "infer/tokenizer/merge.hpp"
#include "infer/tokenizer/merger.hpp"
#include "infer/tokenizer/pair_table.hpp"
#include "infer/tokenizer/pattern.hpp"
#include "infer/tokenizer/utf8.hpp"
#include "snug/error.hpp"

namespace snug::infer {
namespace {

/// UTF-8 in which everything the patterns see is a code point: invalid bytes become U+FFFD, overlong forms
/// their character.
std::string decodable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const CodePoint c = decode_utf8(text, at);
    if (c.valid && c.value < 0x80 && c.bytes == 1)
      out.push_back(text[at]);
    else
      append_utf8(out, c.value);
    at += c.bytes;
  }
  return out;
}

/// Surrogates are no UTF-8 for the regular expressions: a private character, of the same class and length,
/// stands in.
std::string without_surrogates(std::string text) {
  for (size_t at = 0; (at = text.find('\xED', at)) != text.npos; ++at)
    if (at + 1 < text.size() && static_cast<uint8_t>(text[at + 1]) >= 0xA0) {
      text[at] = '\xEE';
      text[at + 1] = '\x80';
    }
  return text;
}

bool only_newlines(std::string_view word) {
  return word.find_first_not_of('\n') == word.npos;
}

class BpeMerger final : public Merger {
 public:
  BpeMerger(const ModelSource& file, const Vocabulary& vocabulary, const PreTokenizer& pre)
      : vocabulary_{vocabulary}, pre_{pre}, extra_{vocabulary.size()} {
    for (const std::string& pattern : pre.patterns) patterns_.emplace_back(pattern);
    read_merges(file);
    for (unsigned b = 0; b < 256; ++b) {
      bytes_[b] = symbol_id(printable_bytes()[b]);
      raw_bytes_[b] = byte_token(vocabulary, static_cast<uint8_t>(b));
    }
  }

  void encode(std::string_view text, std::vector<int32_t>& ids) const override {
    const std::string clean = decodable(text);
    const std::string seen = without_surrogates(clean);
    std::vector<std::string_view> words{seen};
    for (const Pattern& pattern : patterns_) pattern.cut(words);
    if (pre_.threes_from_right) cut_threes_from_right(words);
    Scratch scratch;
    for (const std::string_view word : words)
      encode_word(std::string_view{clean}.substr(static_cast<size_t>(word.data() - seen.data()), word.size()),
                  scratch, ids);
  }

 private:
  struct Scratch {
    std::vector<Symbol> symbols;
    std::vector<Candidate<uint32_t>> heap;
    std::string mapped;
  };

  void read_merges(const ModelSource& file);
  int32_t symbol_id(std::string_view text);

  bool is_token(std::string_view word, Scratch& scratch, std::vector<int32_t>& ids) const {
    if (!pre_.ignore_merges && !(pre_.newline_words && only_newlines(word))) return false;
    scratch.mapped.clear();
    if (!pre_.raw)
      for (const char c : word) scratch.mapped += printable_bytes()[static_cast<uint8_t>(c)];
    const int32_t id = vocabulary_.find(pre_.raw ? word : scratch.mapped);
    if (id >= 0) ids.push_back(id);
    return id >= 0;
  }

  int32_t first_id(std::string_view character) const {
    if (!pre_.raw) return bytes_[static_cast<uint8_t>(character[0])];
    const int32_t id = vocabulary_.find(character);
    if (id >= 0) return id;
    const auto found = no_tokens_.find(std::string{character});
    return found == no_tokens_.end() ? -1 : found->second;
  }

  void encode_word(std::string_view word, Scratch& scratch, std::vector<int32_t>& ids) const {
    check_cancelled();
    if (is_token(word, scratch, ids)) return;
    scratch.symbols.clear();
    for (size_t at = 0; at < word.size();) {
      const size_t length = pre_.raw ? char_length(word, at) : 1;
      scratch.symbols.push_back({.id = first_id(word.substr(at, length)),
                                 .begin = static_cast<uint32_t>(at),
                                 .length = static_cast<uint32_t>(length)});
      at += length;
    }
    merge_symbols(scratch.symbols, scratch.heap,
                  [&](const Symbol& a, const Symbol& b) -> std::optional<Merged<uint32_t>> {
                    if (a.id < 0 || b.id < 0) return {};
                    const PairTable::Entry* entry = merges_.find(a.id, b.id);
                    if (!entry) return {};
                    return Merged<uint32_t>{entry->rank, entry->joined};
                  });
    for (const Symbol& symbol : scratch.symbols)
      if (symbol.length) append(symbol, word.substr(symbol.begin, symbol.length), ids);
  }

  /// What is no token falls back to bytes; where there is no token for a byte, it is lost.
  void append(const Symbol& symbol, std::string_view text, std::vector<int32_t>& ids) const {
    if (symbol.id >= 0 && symbol.id < vocabulary_.size()) return ids.push_back(symbol.id);
    for (const char c : text) {
      if (pre_.raw) {
        if (const int32_t id = raw_bytes_[static_cast<uint8_t>(c)]; id >= 0) ids.push_back(id);
      } else {
        for (const char m : printable_bytes()[static_cast<uint8_t>(c)])
          if (const int32_t id = vocabulary_.find({&m, 1}); id >= 0) ids.push_back(id);
      }
    }
  }

  const Vocabulary& vocabulary_;
  const PreTokenizer& pre_;
  std::vector<Pattern> patterns_;
  PairTable merges_;
  std::unordered_map<std::string, int32_t>
      no_tokens_;                         // texts that merge but are no tokens: ids from size() on
  int32_t extra_;                         // the next such id
  std::array<int32_t, 256> bytes_{};      // ids of mapped bytes
  std::array<int32_t, 256> raw_bytes_{};  // tokens of bytes, -1: none
};

int32_t BpeMerger::symbol_id(std::string_view text) {
  if (const int32_t id = vocabulary_.find(text); id >= 0) return id;
  const auto [at, is_new] = no_tokens_.emplace(text, extra_);
  if (is_new) ++extra_;
  return at->second;
}

void BpeMerger::read_merges(const ModelSource& file) {
  constexpr const char* key = "tokenizer.ggml.merges";
  const std::string where = str(file.path().string(), ", key ", key);
  const MetadataArray* list = file.metadata().array(key);
  if (!list) throw Error{"the list of merges is missing", where, "convert the model with its tokenizer"};
  if (list->count > (1u << 26)) throw Error{str(list->count, " merges are too many"), where};
  const std::vector<std::string_view> lines = file.metadata().strings(key);
  merges_.reserve(lines.size());
  std::string joined;
  for (size_t rank = 0; rank < lines.size(); ++rank) {
    const std::string_view line = lines[rank];
    const size_t blank = line.find(' ', 1);
    if (blank == line.npos)
      throw Error{str("merge ", rank, " is no pair: '", printable(line), "'"), where,
                  "the file is damaged or badly converted"};
    joined.assign(line.substr(0, blank)).append(line.substr(blank + 1));
    merges_.add(symbol_id(line.substr(0, blank)), symbol_id(line.substr(blank + 1)),
                {static_cast<uint32_t>(rank), symbol_id(joined)});
  }
}

}  // namespace

std::unique_ptr<Merger> make_bpe_merger(const ModelSource& file, const Vocabulary& vocabulary,
                                        const PreTokenizer& pre) {
  return std::make_unique<BpeMerger>(file, vocabulary, pre);
}

}  // namespace snug::infer
