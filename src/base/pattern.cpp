#include "base/pattern.hpp"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <cstdint>
#include <limits>
#include <new>
#include <utility>

#include "base/str.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

constexpr size_t kLongest = 16384;        // characters of an expression of others
constexpr uint32_t kMaxSteps = 1 << 20;  // for one text: milliseconds
constexpr uint32_t kMaxHeap = 1 << 16;   // KiB

std::string message(int error) {
  PCRE2_UCHAR text[256]{};
  pcre2_get_error_message(error, text, sizeof text);
  return reinterpret_cast<const char*>(text);
}

std::string shortened(const std::string& expression) {
  constexpr size_t kShown = 60;
  return expression.size() <= kShown ? expression : expression.substr(0, kShown) + "...";
}

struct Freed {
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
  void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
};
using MatchData = std::unique_ptr<pcre2_match_data, Freed>;

}  // namespace

struct Pattern::Code {
  std::string expression, what;
  Fault fault;
  pcre2_code* compiled = nullptr;
  std::unique_ptr<pcre2_match_context, Freed> context;

  Code(const std::string& text, std::string name, From from)
      : expression(shortened(text)),
        what(std::move(name)),
        fault(from == From::others ? Fault::usage : Fault::bad_input) {}
  Code(const Code&) = delete;
  Code& operator=(const Code&) = delete;
  ~Code() { pcre2_code_free(compiled); }

  MatchData match_data() const;
  void limit(From from);
  /// The next match in a text at or after `from`, its bounds in `data`; false if there is none.
  bool find(std::string_view text, size_t from, uint32_t options, pcre2_match_data* data) const;
};

MatchData Pattern::Code::match_data() const {
  MatchData data{pcre2_match_data_create_from_pattern(compiled, nullptr)};
  if (!data) throw std::bad_alloc{};
  return data;
}

/// Of our own expressions the library's limits are lifted: runs of a million characters are ordinary there.
void Pattern::Code::limit(From from) {
  constexpr uint32_t kNone = std::numeric_limits<uint32_t>::max();
  context.reset(pcre2_match_context_create(nullptr));
  if (!context) throw std::bad_alloc{};
  pcre2_set_match_limit(context.get(), from == From::us ? kNone : kMaxSteps);
  pcre2_set_depth_limit(context.get(), from == From::us ? kNone : kMaxSteps);
  if (from == From::others) pcre2_set_heap_limit(context.get(), kMaxHeap);
}

bool Pattern::Code::find(std::string_view text, size_t from, uint32_t options, pcre2_match_data* data) const {
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  int found = pcre2_match(compiled, subject, text.size(), from, options, data, context.get());
  if (found == PCRE2_ERROR_JIT_STACKLIMIT)
    found = pcre2_match(compiled, subject, text.size(), from, options | PCRE2_NO_JIT, data, context.get());
  if (found == PCRE2_ERROR_NOMATCH) return false;
  if (found < 0)
    throw Error{str(what, " '", expression, "' fails: ", message(found)),
                str("in a text of ", text.size(), " bytes"), "write it more simply, or give a shorter text",
                fault};
  return true;
}

Pattern::Pattern(const std::string& expression, std::string what, From from)
    : code_{std::make_unique<Code>(expression, std::move(what), from)} {
  if (from == From::others && expression.size() > kLongest)
    throw Error{str("the regular expression has ", expression.size(), " characters"), code_->what,
                str("at most ", kLongest, " are read"), Fault::usage};
  int error = 0;
  size_t at = 0;
  code_->compiled = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(expression.data()), expression.size(),
                                  PCRE2_UTF | PCRE2_DOLLAR_ENDONLY, &error, &at, nullptr);
  if (!code_->compiled)
    throw Error{str("'", code_->expression, "' is not a regular expression: ", message(error)),
                str(code_->what, ", character ", at), "write it in Perl's syntax, e.g. 'blk\\.0\\..*'",
                code_->fault};
  pcre2_jit_compile(code_->compiled, PCRE2_JIT_COMPLETE);  // where it cannot, the interpreter does
  code_->limit(from);
}

Pattern::~Pattern() = default;
Pattern::Pattern(Pattern&&) noexcept = default;
Pattern& Pattern::operator=(Pattern&&) noexcept = default;

void Pattern::cut(std::vector<std::string_view>& pieces) const {
  const MatchData data = code_->match_data();
  const size_t* bounds = pcre2_get_ovector_pointer(data.get());
  std::vector<std::string_view> out;
  out.reserve(pieces.size());
  for (const std::string_view piece : pieces) {
    size_t done = 0;
    while (done < piece.size()) {
      if (!code_->find(piece, done, PCRE2_NO_UTF_CHECK, data.get())) break;
      const size_t begin = bounds[0], end = bounds[1];
      if (end == begin) break;  // our patterns match at least one character
      if (begin > done) out.push_back(piece.substr(done, begin - done));
      out.push_back(piece.substr(begin, end - begin));
      done = end;
    }
    if (done < piece.size()) out.push_back(piece.substr(done));
  }
  pieces.swap(out);
}

std::optional<std::vector<std::string_view>> Pattern::captures(std::string_view text) const {
  const MatchData data = code_->match_data();
  if (!code_->find(text, 0, 0, data.get())) return {};
  const size_t* bounds = pcre2_get_ovector_pointer(data.get());
  std::vector<std::string_view> captured;
  for (uint32_t group = 1; group < pcre2_get_ovector_count(data.get()); ++group) {
    const size_t begin = bounds[2 * group], end = bounds[2 * group + 1];
    captured.push_back(begin == PCRE2_UNSET ? std::string_view{} : text.substr(begin, end - begin));
  }
  return captured;
}

}  // namespace snug
