#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace snug {

/// A regular expression (Perl's, over UTF-8). Immutable; threads share it.
class Pattern {
 public:
  /// Whose expression it is. Those of others are kept short and get so much work for each text, so that none
  /// runs without end; our own take linear time, over texts of any length.
  enum class From { us, others };

  /// `what` it is, for messages, e.g. "a pre-tokenizer pattern" or "--pin". Throws Error for an
  /// expression that does not compile, of Fault::usage where it is of others.
  Pattern(const std::string& expression, std::string what, From from);
  ~Pattern();
  Pattern(Pattern&&) noexcept;
  Pattern& operator=(Pattern&&) noexcept;

  /// Replaces every piece by its matches and the gaps between them, in order. Each piece is matched on its
  /// own: nothing looks beyond its ends. The pieces must be valid UTF-8.
  void cut(std::vector<std::string_view>& pieces) const;

  /// Whether it is found anywhere in a text of valid UTF-8. Throws Error of Fault::usage where that takes too
  /// much work.
  bool finds(std::string_view text) const { return captures(text).has_value(); }
  /// What its groups captured where it is found first; "" for a group that took no part.
  std::optional<std::vector<std::string_view>> captures(std::string_view text) const;

 private:
  struct Code;
  std::unique_ptr<Code> code_;
};

}  // namespace snug
