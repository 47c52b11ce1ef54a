#include "report/card.hpp"

#include <gtest/gtest.h>


namespace snug::report {
namespace {

bool says(const std::string& text, const std::string& words) {
  return text.find(words) != std::string::npos;
}

TEST(Card, PutsWhatWasMeasuredFirst) {
  Report report;
  report.model_name = "tiny";
  report.made_by = "snug 0.1.0";
  report.method = "optimal";
  report.file_bytes = 1'000'000;
  report.bits_per_weight = 4.5;
  report.predicted_loss = 0.25;
  EXPECT_TRUE(says(to_card(report), "0.25 (predicted)"));
  report.measured_recipe = Recipe::Measured{0.125, 0.002, 5376};
  report.error_feedback = true;
  const std::string card = to_card(report);
  EXPECT_TRUE(card.starts_with("---\nlibrary_name: gguf\n")) << card;
  EXPECT_TRUE(says(card, "0.125 ± 0.002")) << card;
  EXPECT_FALSE(says(card, "0.25 (predicted)")) << card;
  EXPECT_TRUE(says(card, "5,376 tokens"));
  EXPECT_TRUE(says(card, "error feedback"));
  EXPECT_TRUE(says(card, "1.00 MB"));
}

TEST(Card, NamesOutOfFilesStayNames) {
  Report report;
  report.model_name = "a|b](http://x) \"q\"\n# c";
  const std::string card = to_card(report);
  EXPECT_TRUE(says(card, "a\\|b\\](http://x)")) << card;
  EXPECT_FALSE(says(card, "\n# c"));
  EXPECT_TRUE(says(card, "\\\"q\\\"")) << card;
}

TEST(Card, CountsFormatsByTheBytesTheyTake) {
  Report report;
  report.tensors.resize(3);
  report.tensors[0].format = FormatId::q4_K;
  report.tensors[0].bytes = 10;
  report.tensors[1].format = FormatId::q6_K;
  report.tensors[1].bytes = 30;
  report.tensors[2].format = FormatId::q4_K;
  report.tensors[2].bytes = 15;
  const std::string card = to_card(report);
  EXPECT_TRUE(says(card, "| q4_K | 2 |"));
  EXPECT_LT(card.find("| q6_K | 1 |"), card.find("| q4_K | 2 |"));
}

}  // namespace
}  // namespace snug::report
