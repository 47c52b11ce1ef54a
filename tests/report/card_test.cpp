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

TEST(Card, ListsModelsWithWhatWasMeasuredAndTheirDigests) {
  Report report;
  report.models.resize(2);
  report.models[0].name = "m-4bpw.gguf";
  report.models[0].files = {{"m-4bpw.gguf", std::string(64, 'a')}};
  report.models[0].measured = report.measured_recipe = Recipe::Measured{0.125, 0.002, 5376, "held.txt"};
  report.models[0].same_top = 0.955;
  report.models[0].perplexity = 12.5;
  report.models[1].name = "m-3bpw.gguf";
  report.models[1].files = {{"m-3bpw.gguf", std::string(64, 'b')}};
  report.models[1].measured = Recipe::Measured{0.25, 0.004, 5376, "other.txt"};
  report.measured = {{"preset q3_k_m", 0, 0, 0.5, 0}, {"theirs", 1000, 0, 0.75, 0.001, 20, 0.9}};
  report.measured[0].bytes = report.file_bytes = 1000;
  report.error_feedback = true;
  const std::string card = to_card(report);
  EXPECT_TRUE(says(card, "| **m-4bpw.gguf** |")) << card;
  EXPECT_TRUE(says(card, "| 95.50 % | 12.5000 |"));
  EXPECT_TRUE(says(card, "| m-3bpw.gguf |"));
  EXPECT_TRUE(says(card, "formats of llama.cpp's q3\\_k\\_m, encoded by snug with error feedback | 1.00 kB"));
  EXPECT_TRUE(says(card, "| theirs |"));
  EXPECT_TRUE(says(card, "m-3bpw.gguf was measured on other text (other.txt)"));
  EXPECT_TRUE(says(card, std::string(64, 'b') + "  m-3bpw.gguf\n"));
}

TEST(Card, ShowsWhatTheFitItselfMeasured) {
  Recipe recipe;
  recipe.measured = Recipe::Measured{0.125, 0.002, 5376, "held.txt"};
  Recipe other = recipe;
  other.effort = Effort::max;
  Report report;
  report.measured_recipe = recipe.measured;
  report.models = {listed(recipe, "m-4bpw.gguf", {{"m-4bpw.gguf", ""}}), listed(other, "m-3bpw.gguf", {{"m-3bpw.gguf", ""}})};
  report.measured = {{"plan", 100, 0, 0.125, 0.002, 12.5, 0.955, 11.5, recipe_digest(recipe)},
                     {"m-3bpw", 90, 0, 0.25, 0.002, 20.25, 0.5}};
  add_measured(report.models, report.measured);
  ASSERT_EQ(report.measured.size(), 1u) << "what the state tells stays for the charts";
  const std::string card = to_card(report);
  EXPECT_TRUE(says(card, "| **m-4bpw.gguf** |")) << card;
  EXPECT_TRUE(says(card, "| 95.50 % | 12.5000 |"));
  EXPECT_TRUE(says(card, "| 50.00 % | 20.2500 |"));
  EXPECT_TRUE(says(card, "the original has a perplexity of 11.5000"));
  EXPECT_TRUE(says(card, "m-3bpw.gguf: its top token and perplexity were measured on another text"));
  EXPECT_FALSE(says(card, "| plan |"));
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
