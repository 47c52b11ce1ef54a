#include "infer/tokenizer/tokenizer.hpp"

#include <limits>
#include <utility>

#include "base/str.hpp"
#include "infer/tokenizer/byte_map.hpp"
#include "infer/tokenizer/merger.hpp"
#include "infer/tokenizer/pre_tokenizer.hpp"
#include "infer/tokenizer/special_splitter.hpp"
#include "infer/tokenizer/utf8.hpp"
#include "snug/error.hpp"

namespace snug::infer {
namespace {

constexpr size_t kMaxBytes = size_t{1}
                             << 30;  // of a text: offsets are 32 bits wide and blanks grow threefold

/// SentencePiece has no patterns: only its defaults.
const PreTokenizer& pre_of(const ModelSource& file, VocabularyKind kind) {
  static const PreTokenizer none{.names = {}, .patterns = {}, .add_bos = true, .clean_up = false};
  if (kind == VocabularyKind::spm) return none;
  if (kind == VocabularyKind::gemma4) return pre_tokenizer("gemma4");
  return pre_tokenizer(file.metadata().text("tokenizer.ggml.pre").value_or("default"));
}

std::vector<int32_t> suppressed_tokens(const ModelSource& file, int32_t size) {
  std::vector<int32_t> tokens;
  for (const int64_t id : file.metadata().integers("tokenizer.ggml.suppress_tokens"))
    if (id >= 0 && id < size) tokens.push_back(static_cast<int32_t>(id));
  return tokens;
}

/// The byte that <0xHH> names.
std::string byte_of(std::string_view name) {
  if (name.size() != 6 || !name.starts_with("<0x")) return {};
  return std::string(1, static_cast<char>(std::strtoul(std::string{name.substr(3, 2)}.c_str(), nullptr, 16)));
}

/// Blanks before ?!., go; those around a lone apostrophe go; those before 's 'm 're 've go. In three passes.
std::string cleaned_up(std::string_view text) {
  std::string once, twice, out;
  for (size_t i = 0; i < text.size(); ++i)
    if (!(text[i] == ' ' && i + 1 < text.size() && std::string_view{"?!.,"}.find(text[i + 1]) != text.npos))
      once += text[i];
  for (size_t i = 0; i < once.size(); ++i) {
    const bool lone = once.compare(i, 3, " ' ") == 0;
    twice += lone ? '\'' : once[i];
    if (lone) i += 2;
  }
  for (size_t i = 0; i < twice.size(); ++i) {
    const auto next = [&](std::string_view s) { return std::string_view{twice}.substr(i).starts_with(s); };
    if (!(next(" 's") || next(" 'm") || next(" 're") || next(" 've"))) out += twice[i];
  }
  return out;
}

}  // namespace

struct Tokenizer::Parts {
  explicit Parts(const ModelSource& file) : Parts{file, vocabulary_kind(file)} {}
  Parts(const ModelSource& file, VocabularyKind kind)
      : pre{pre_of(file, kind)},
        vocabulary{file, kind, pre.default_bos},
        splitter{vocabulary},
        merger{kind == VocabularyKind::spm ? make_spm_merger(vocabulary)
                                           : make_bpe_merger(file, vocabulary, pre)},
        suppressed{suppressed_tokens(file, vocabulary.size())} {
    const bool spm = kind == VocabularyKind::spm;
    marks_spaces = spm || pre.raw;
    const auto flag = [&](const char* key, bool fallback) { return file.metadata().boolean(key).value_or(fallback); };
    add_bos = kind == VocabularyKind::gemma4 || flag("tokenizer.ggml.add_bos_token", pre.add_bos);
    add_eos = flag("tokenizer.ggml.add_eos_token", false);
    space_prefix = flag("tokenizer.ggml.add_space_prefix", spm);
    leading_space = spm && space_prefix;
  }

  const PreTokenizer& pre;
  Vocabulary vocabulary;
  SpecialSplitter splitter;
  std::unique_ptr<Merger> merger;
  std::vector<int32_t> suppressed;
  bool marks_spaces, add_bos, add_eos;
  bool space_prefix;   // as the file has it
  bool leading_space;  // put in front of texts
};

Tokenizer::Tokenizer(const ModelSource& file) : parts_{std::make_unique<const Parts>(file)} {}
Tokenizer::~Tokenizer() = default;
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;

const Vocabulary& Tokenizer::vocabulary() const {
  return parts_->vocabulary;
}
bool Tokenizer::adds_bos() const {
  return parts_->add_bos && bos() >= 0;
}
bool Tokenizer::adds_eos() const {
  return parts_->add_eos && eos() >= 0;
}
std::span<const int32_t> Tokenizer::suppressed() const {
  return parts_->suppressed;
}

bool Tokenizer::ends_generation(int32_t token) const {
  check(token);
  return vocabulary().ends_generation(token);
}

void Tokenizer::check(int32_t token) const {
  if (token < 0 || token >= size())
    throw Error{str("there is no token ", token), str("the vocabulary has ", size(), " tokens")};
}

std::vector<int32_t> Tokenizer::encode(std::string_view text, bool add_special, bool parse_special) const {
  if (text.size() > kMaxBytes)
    throw Error{str("a text of ", text.size(), " bytes is too long"), str("at most ", kMaxBytes), "split it"};
  std::vector<int32_t> ids;
  if (add_special && adds_bos()) ids.push_back(bos());
  for (const Fragment& fragment : parts_->splitter.split(text, parse_special)) {
    if (fragment.token >= 0)
      ids.push_back(fragment.token);
    else if (!parts_->marks_spaces)
      parts_->merger->encode(fragment.text, ids);
    else  // a text fragment is always the first or follows a special token
      parts_->merger->encode(
          with_space_marks(parts_->leading_space ? str(' ', fragment.text) : std::string{fragment.text}),
          ids);
  }
  if (add_special && adds_eos()) ids.push_back(eos());
  return ids;
}

std::string Tokenizer::piece(int32_t token, bool special) const {
  check(token);
  const Vocabulary& v = vocabulary();
  const std::string_view text = v.text(token);
  if (v.is(token, Vocabulary::control | Vocabulary::unknown))
    return special ? std::string{text} : std::string{};
  if (v.is(token, Vocabulary::user_defined)) return std::string{text};
  if (v.is(token, Vocabulary::byte)) return byte_of(text);
  if (!v.is(token, Vocabulary::normal)) return {};
  return parts_->marks_spaces ? without_space_marks(text) : bytes_of_printable(text);
}

std::string Tokenizer::decode(std::span<const int32_t> tokens, bool remove_special, bool special) const {
  bool strip = parts_->space_prefix;
  if (remove_special && adds_bos() && !tokens.empty() && tokens.front() == bos()) {
    tokens = tokens.subspan(1);
    strip = false;
  }
  if (remove_special && adds_eos() && !tokens.empty() && tokens.back() == eos())
    tokens = tokens.first(tokens.size() - 1);
  std::string text;
  for (const int32_t token : tokens) {
    const std::string next = piece(token, special);
    text.append(next, strip && next.starts_with(' ') ? 1 : 0);
    strip = false;
  }
  return parts_->pre.clean_up ? cleaned_up(text) : text;
}

std::string TokenStream::add(int32_t token) {
  waiting_ += tokenizer_.piece(token, special_);
  const size_t ready = waiting_.size() - unfinished_tail(waiting_);
  const std::string text = valid_utf8(std::string_view{waiting_}.substr(0, ready));
  waiting_.erase(0, ready);
  return text;
}

std::string TokenStream::finish() {
  return valid_utf8(std::exchange(waiting_, {}));
}

std::optional<Tokenizer> tokenizer_if_usable(const ModelSource& model, std::string* why) {
  constexpr std::string_view kNone = "none";  // what llama.cpp's converter writes for a model without one
  const bool has_one = model.metadata().text("tokenizer.ggml.model").value_or(kNone) != kNone;
  try {
    if (has_one) return Tokenizer{model};
    if (why) *why = "the model has no tokenizer";
  } catch (const Error& error) {
    if (error.fault() != Fault::bad_input) throw;
    if (why) *why = str("the model's tokenizer cannot be used: ", error.problem());
  }
  return {};
}

}  // namespace snug::infer
