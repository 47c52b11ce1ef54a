#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace snug::infer {

/// A regular expression (Perl's, over UTF-8) that cuts text into its matches and the gaps between them.
/// Immutable; threads share it.
class Pattern {
 public:
  /// Throws Error for an expression that does not compile.
  explicit Pattern(const std::string& expression);
  ~Pattern();
  Pattern(Pattern&&) noexcept;
  Pattern& operator=(Pattern&&) noexcept;

  /// Replaces every piece by its matches and gaps, in order. Each piece is matched on its own: nothing looks
  /// beyond its ends. The pieces must be valid UTF-8.
  void cut(std::vector<std::string_view>& pieces) const;

 private:
  struct Code;
  std::unique_ptr<Code> code_;
};

}  // namespace snug::infer
