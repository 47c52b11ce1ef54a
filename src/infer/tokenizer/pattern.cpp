#include "infer/tokenizer/pattern.hpp"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <cstdint>
#include <limits>

#include "base/str.hpp"
#include "snug/error.hpp"

namespace snug::infer {
namespace {

std::string message(int error) {
  PCRE2_UCHAR text[256]{};
  pcre2_get_error_message(error, text, sizeof text);
  return reinterpret_cast<const char*>(text);
}

struct Freed {
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
  void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
};

}  // namespace

struct Pattern::Code {
  pcre2_code* compiled = nullptr;
  std::unique_ptr<pcre2_match_context, Freed> context;
  ~Code() { pcre2_code_free(compiled); }

  /// The next match in piece at or after `from`; npos if there is none. Runs of a million characters are
  /// ordinary here, so the library's limits on work are lifted; the patterns take linear time.
  size_t find(std::string_view piece, size_t from, pcre2_match_data* data, size_t& end) const;
};

size_t Pattern::Code::find(std::string_view piece, size_t from, pcre2_match_data* data, size_t& end) const {
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(piece.data());
  int found = pcre2_match(compiled, subject, piece.size(), from, PCRE2_NO_UTF_CHECK, data, context.get());
  if (found == PCRE2_ERROR_JIT_STACKLIMIT)
    found = pcre2_match(compiled, subject, piece.size(), from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, data,
                        context.get());
  if (found == PCRE2_ERROR_NOMATCH) return std::string_view::npos;
  if (found < 0)
    throw Error{str("a pre-tokenizer pattern fails: ", message(found)),
                str("in a piece of ", piece.size(), " bytes"), "give the text in smaller pieces"};
  const size_t* bounds = pcre2_get_ovector_pointer(data);
  end = bounds[1];
  return bounds[0];
}

Pattern::Pattern(const std::string& expression) : code_{std::make_unique<Code>()} {
  int error = 0;
  size_t at = 0;
  code_->compiled = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(expression.data()), expression.size(),
                                  PCRE2_UTF | PCRE2_DOLLAR_ENDONLY, &error, &at, nullptr);
  if (!code_->compiled)
    throw Error{str("a pre-tokenizer pattern does not compile: ", message(error)),
                str("character ", at, " of ", expression), "a newer libpcre2 may know it"};
  pcre2_jit_compile(code_->compiled, PCRE2_JIT_COMPLETE);  // where it cannot, the interpreter does
  code_->context.reset(pcre2_match_context_create(nullptr));
  if (!code_->context) throw std::bad_alloc{};
  pcre2_set_match_limit(code_->context.get(), std::numeric_limits<uint32_t>::max());
  pcre2_set_depth_limit(code_->context.get(), std::numeric_limits<uint32_t>::max());
}

Pattern::~Pattern() = default;
Pattern::Pattern(Pattern&&) noexcept = default;
Pattern& Pattern::operator=(Pattern&&) noexcept = default;

void Pattern::cut(std::vector<std::string_view>& pieces) const {
  const std::unique_ptr<pcre2_match_data, Freed> data{
      pcre2_match_data_create_from_pattern(code_->compiled, nullptr)};
  if (!data) throw std::bad_alloc{};
  std::vector<std::string_view> out;
  out.reserve(pieces.size());
  for (const std::string_view piece : pieces) {
    size_t done = 0, end = 0;
    while (done < piece.size()) {
      const size_t begin = code_->find(piece, done, data.get(), end);
      if (begin == piece.npos || end == begin) break;  // our patterns match at least one character
      if (begin > done) out.push_back(piece.substr(done, begin - done));
      out.push_back(piece.substr(begin, end - begin));
      done = end;
    }
    if (done < piece.size()) out.push_back(piece.substr(done));
  }
  pieces.swap(out);
}

}  // namespace snug::infer
