#include "cli/text/judged_text.hpp"

#include <cstdio>

#include "base/str.hpp"
#include "base/units.hpp"
#include "cli/text/text_table.hpp"

namespace snug::cli {
namespace {

std::string shown(const char* form, double number) {
  char text[40];
  std::snprintf(text, sizeof text, form, number);
  return text;
}

std::string verdict(const LoopResult& result, const Judged& judged) {
  if (&judged == &result.best()) return "chosen";
  return judged.accepted ? "until then the best" : "no better";
}

}  // namespace

std::string judged_text(const LoopResult& result) {
  if (result.judged.empty()) return {};
  std::string text = str("KL divergence from the original, nats per token, on ",
                         show_count(result.held_tokens), " tokens that nothing was learnt from\n");
  text += str(left("  recipe", 24), right("predicted", 12), right("measured", 12), right("+-", 11), "\n");
  for (const Judged& judged : result.judged)
    text += str(left(str("  ", judged.label), 24), right(shown("%.6f", judged.predicted), 12),
                right(shown("%.6f", judged.measured.value), 12),
                right(shown("%.6f", judged.measured.error), 11), "  ", verdict(result, judged), "\n");
  return text;
}

}  // namespace snug::cli
