#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "infer/session.hpp"
#include "infer/text/sampler.hpp"
#include "infer/tokenizer/tokenizer.hpp"

namespace snug::infer {

struct GenerateOptions {
  int64_t max_tokens = -1;        // of the answer; negative: until it ends by itself or the context is full
  std::vector<std::string> stops{};  // texts that end it, not shown
  bool special = false;            // show control tokens
};

enum class FinishReason { by_itself, at_stop, at_most_tokens, context_full, interrupted };
std::string_view name_of(FinishReason ended);

struct Generation {
  std::string text;             // as it was shown
  std::vector<int32_t> tokens;  // drawn, the last one of an answer that ended by itself included
  FinishReason ended = FinishReason::by_itself;
};

/// Throws Error where the prompt is empty or longer than what is left of the context.
void check_prompt(const Session& session, const Tokenizer& tokenizer, std::span<const int32_t> prompt);

/// Runs the prompt through the session behind what it has seen, then draws tokens one by one; `show` gets the
/// text as it comes, in whole characters. Ctrl-C ends it between two tokens, as FinishReason::interrupted. Does
/// check_prompt() before any work.
Generation generate(Session& session, const Tokenizer& tokenizer, Sampler& sampler,
                    std::span<const int32_t> prompt, const GenerateOptions& options,
                    const std::function<void(std::string_view)>& show);

/// Holds back what may be the beginning of a text to stop at.
class StopWatch {
 public:
  explicit StopWatch(std::span<const std::string> stops) : stops_{stops} {}

  /// What may be shown now. Nothing more comes once stopped().
  std::string add(std::string_view text);
  std::string finish();
  bool stopped() const { return stopped_; }

 private:
  std::span<const std::string> stops_;
  std::string held_;
  bool stopped_ = false;
};

}  // namespace snug::infer
