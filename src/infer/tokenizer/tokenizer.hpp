#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "infer/tokenizer/vocabulary.hpp"
#include "snug/model.hpp"

namespace snug::infer {

/// Text into token ids and back, as llama.cpp does it: SentencePiece ("llama"), byte-level byte pairs
/// ("gpt2") with the pre-tokenizers of pre_tokenizer.cpp, and Gemma 4's. Immutable; threads share it. Its
/// views point into the file, which must outlive it.
class Tokenizer {
 public:
  /// Throws Error for a file without a tokenizer, or of a kind or pre-tokenizer that is not known: the
  /// message lists those that are.
  explicit Tokenizer(const ModelSource& file);
  ~Tokenizer();
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;

  /// Any bytes; O(n log n); Ctrl-C is an Error. Byte pairs read what is no UTF-8 as U+FFFD, the others as
  /// bytes.
  ///   add_special    BOS in front and EOS behind where the model wants them
  ///   parse_special  control tokens written out in the text become those tokens (chat prompts)
  std::vector<int32_t> encode(std::string_view text, bool add_special, bool parse_special) const;

  /// The bytes a token stands for: perhaps only a part of a character. Control and unknown tokens stand for
  /// nothing unless `special`. Throws Error for an id outside the vocabulary.
  std::string piece(int32_t token, bool special = false) const;

  /// A whole text at once: the pieces, less the blank that was put in front when it was encoded and (where
  /// the model wants it) blanks before punctuation. Any bytes: see valid_utf8().
  std::string decode(std::span<const int32_t> tokens, bool remove_special = true, bool special = false) const;

  int32_t size() const { return vocabulary().size(); }
  int32_t bos() const {
    return vocabulary().special(Special::bos);
  }  // -1 where there is none, as all of these
  int32_t eos() const { return vocabulary().special(Special::eos); }
  int32_t eot() const { return vocabulary().special(Special::eot); }
  int32_t find(std::string_view text) const { return vocabulary().find(text); }
  bool adds_bos() const;
  bool adds_eos() const;
  /// Whether a model that says this is done: EOS, the end of a turn and their kin.
  bool ends_generation(int32_t token) const;
  /// Never to be sampled (tokenizer.ggml.suppress_tokens).
  std::span<const int32_t> suppressed() const;
  const Vocabulary& vocabulary() const;

 private:
  struct Parts;
  void check(int32_t token) const;
  std::unique_ptr<const Parts> parts_;
};

/// Tokens into text as they come. Never gives half a character: an unfinished one waits for the next token.
/// What is no UTF-8 comes out as U+FFFD.
class TokenStream {
 public:
  explicit TokenStream(const Tokenizer& tokenizer, bool special = false)
      : tokenizer_{tokenizer}, special_{special} {}

  std::string add(int32_t token);
  std::string finish();  // what still waits; the stream is then as new

 private:
  const Tokenizer& tokenizer_;
  bool special_;
  std::string waiting_;
};

/// Nothing where the model has no tokenizer, or one that cannot be used; `why` says which then (may be nullptr).
std::optional<Tokenizer> tokenizer_if_usable(const ModelSource& model, std::string* why = nullptr);

}  // namespace snug::infer
