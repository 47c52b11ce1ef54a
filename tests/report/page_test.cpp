#include "report/page.hpp"

#include <gtest/gtest.h>

#include <cctype>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "recipe/recipe_fixture.hpp"
#include "plan/curve.hpp"
#include "report/html.hpp"
#include "report/report_fixture.hpp"

namespace snug::report {
namespace {

/// Reads a page as strictly as one can: every element closed in order, every attribute in quotes, no element
/// and no attribute but those a report is made of. Says what it found first, or nothing.
class PageCheck {
 public:
  explicit PageCheck(std::string_view page) : page_(page) {}

  std::string problem() {
    if (!page_.starts_with("<!doctype html>\n")) return "no doctype";
    at_ = 16;
    while (at_ < page_.size()) {
      if (page_[at_] != '<') {
        if (page_[at_] == '>') return here("a bare >");
        ++at_;
      } else if (std::string bad = tag(); !bad.empty()) {
        return bad;
      }
    }
    return open_.empty() ? "" : "not closed: " + open_.back();
  }

  int scripts = 0;

 private:
  std::string here(const std::string& what) const {
    return what + " at ..." + std::string{page_.substr(at_ > 60 ? at_ - 60 : 0, 140)};
  }

  std::string word() {
    std::string name;
    while (at_ < page_.size() && (std::isalnum(static_cast<unsigned char>(page_[at_])) || page_[at_] == '-'))
      name += page_[at_++];
    return name;
  }

  std::string tag() {
    static const std::set<std::string> known{
        "html",  "head", "meta",   "title", "style", "body",  "main",    "header",  "h1",     "h2",
        "p",     "div",  "span",   "b",     "i",     "small", "code",    "section", "figure", "svg",
        "line",  "rect", "circle", "path",  "text",  "g",     "details", "summary", "table",  "thead",
        "tbody", "tr",   "th",     "td",    "dl",    "dt",    "dd",      "footer",  "script", "wbr"};
    ++at_;
    const bool closes = at_ < page_.size() && page_[at_] == '/';
    if (closes) ++at_;
    const std::string name = word();
    if (!known.contains(name)) return here("element <" + name + ">");
    if (closes) {
      if (open_.empty() || open_.back() != name || page_[at_] != '>') return here("stray </" + name);
      open_.pop_back();
      ++at_;
      return "";
    }
    return attributes(name);
  }

  std::string attributes(const std::string& element) {
    static const std::set<std::string> known{
        "lang",  "charset", "name", "content",    "http-equiv", "class", "style",      "title", "viewBox",
        "width", "height",  "role", "aria-label", "x",          "y",     "x1",         "y1",    "x2",
        "y2",    "cx",      "cy",   "r",          "rx",         "d",     "text-anchor"};
    while (page_[at_] == ' ') {
      ++at_;
      const std::string name = word();
      if (!known.contains(name)) return here("attribute " + name);
      if (page_.substr(at_, 2) != "=\"") return here("attribute without quotes");
      const size_t end = page_.find('"', at_ + 2);
      if (end == page_.npos || page_.substr(at_ + 2, end - at_ - 2).find('<') != page_.npos)
        return here("attribute not closed");
      at_ = end + 1;
    }
    const bool empty = page_[at_] == '/';
    if (empty) ++at_;
    if (page_[at_] != '>') return here("tag not closed");
    ++at_;
    if (element == "script" || element == "style") return raw(element);
    if (!empty && element != "meta" && element != "wbr") open_.push_back(element);
    return "";
  }

  std::string raw(const std::string& element) {
    const size_t end = page_.find("</" + element + ">", at_);
    if (page_.substr(at_, end - at_) != (element == "script" ? kScript : kStyle))
      return here("foreign " + element);
    scripts += element == "script";
    at_ = end + element.size() + 3;
    return "";
  }

  std::string_view page_;
  size_t at_ = 0;
  std::vector<std::string> open_;
};

Inputs full_inputs(uint64_t seed) {
  Inputs inputs;
  inputs.profile = test::random_profile(seed);
  inputs.measured = {
      {"one", 60000, 0.01, 0.012, 0.001}, {"two", 70000, 0.1, 0.09, 0}, {"q4_k_s", 0, 0, 0.002, 0}};
  return inputs;
}

void expect_sound(const Report& report) {
  const std::string page = to_html(report);
  PageCheck check{page};
  EXPECT_EQ(check.problem(), "");
  EXPECT_EQ(check.scripts, 1);
  for (const char* outside : {"http:", "https:", "//cdn", "@import", "url("})
    EXPECT_EQ(page.find(outside), std::string::npos) << outside;
  for (const char* broken : {"nan", "inf\"", "-inf"}) {
    const size_t found = page.find(broken, page.find("<body>"));
    EXPECT_EQ(found, std::string::npos) << page.substr(found == page.npos ? 0 : found - 60, 120);
  }
}

TEST(Page, IsSoundAndNeedsNothingElse) {
  for (uint64_t seed = 0; seed < 4; ++seed) {
    SCOPED_TRACE(seed);
    expect_sound(make_report(full_inputs(seed)));
  }
}

TEST(Page, OfARecipeAloneIsSound) {
  for (uint64_t seed = 0; seed < 4; ++seed) {
    SCOPED_TRACE(seed);
    Inputs inputs;
    inputs.recipe = test::random_recipe(seed, 1 + static_cast<int>(seed) * 40);
    expect_sound(make_report(inputs));
  }
}

TEST(Page, WhatFilesSayIsNeverMarkup) {
  const std::string hostile[] = {"<script>alert(1)</script>",
                                 "\" onload=\"alert(1)",
                                 "' autofocus onfocus='x",
                                 "</title></svg><img src=x onerror=alert(1)>",
                                 "&lt;b&gt;",
                                 std::string{"nul\0byte", 8},
                                 "bad\xff\xfeutf8\xc3",
                                 "line\nend\x1b[31m",
                                 "]]><!--",
                                 std::string(5000, '<')};
  for (const std::string& text : hostile) {
    SCOPED_TRACE(text.substr(0, 40));
    Inputs inputs = full_inputs(1);
    inputs.profile->model_name = inputs.profile->architecture = text;
    for (ProfiledTensor& t : inputs.profile->profile.tensors) t.name += text;
    inputs.profile->profile.tensors[2].name = text;
    inputs.profile->profile.tensors[3].name = "blk.1." + text;
    inputs.profile->profile.fixed[0].name = text;
    inputs.measured[0].label = text;
    expect_sound(make_report(inputs));
    inputs.recipe = plan_without_model(*inputs.profile, 4);
    inputs.recipe->method = inputs.recipe->runtime = inputs.recipe->made_by = text;
    inputs.recipe->imatrix_digest = text;
    expect_sound(make_report(inputs));
  }
}

TEST(Page, OddNumbersAreSound) {
  Inputs inputs = full_inputs(2);
  for (ProfiledTensor& t : inputs.profile->profile.tensors) {
    t.alpha = t.alpha_error = 0;
    for (Candidate& c : t.candidates) c.loss = 0;
  }
  expect_sound(make_report(inputs));  // nothing loses anything
  inputs = full_inputs(2);
  inputs.profile->profile.tensors.resize(1);
  inputs.profile->profile.tensors[0].candidates.resize(1);
  inputs.bits_per_weight = 64;
  expect_sound(make_report(inputs));  // one tensor, one choice
  inputs = full_inputs(2);
  for (Candidate& c : inputs.profile->profile.tensors[0].candidates) c.loss = 100'000'000'000'000;
  inputs.measured = {{"same", 1, 0.5, 0.5, 0.5}};
  expect_sound(make_report(inputs));
}

TEST(Page, NamesEveryTensorAndFigure) {
  const Report report = make_report(full_inputs(3));
  const std::string page = to_html(report);
  for (const TensorRow& row : report.tensors)
    if (!row.copied) {
      EXPECT_NE(page.find(row.name), std::string::npos) << row.name;
    }
  EXPECT_NE(page.find(show_loss(report.predicted_loss)), std::string::npos);
  for (const char* title : {"Loss against size", "Where the bits went", "The most sensitive tensors",
                            "Predicted against measured", "How sure this is", "Rank correlation"})
    EXPECT_NE(page.find(title), std::string::npos) << title;
}

TEST(Numbers, AreShownWithThreeDigits) {
  EXPECT_EQ(show_loss(0.012345), "0.0123");
  EXPECT_EQ(show_loss(0.00031249), "0.000312");
  EXPECT_EQ(show_loss(12.345), "12.3");
  EXPECT_EQ(show_loss(1234.5), "1234");
  EXPECT_EQ(show_loss(3.14e-7), "3.1e-07");
  EXPECT_EQ(show_loss(0), "0");
  EXPECT_EQ(show_percent(0.1234), "12 %");
  EXPECT_EQ(show_percent(0.01234), "1.2 %");
  EXPECT_EQ(show_percent(0.0001234), "0.01 %");
  EXPECT_EQ(shorten("ab\xe2\x96\x81"
                    "cdefgh",
                    4),
            "ab…");
  EXPECT_EQ(shorten("abcd", 4), "abcd");
}

TEST(Scales, TicksAreRoundAndWithin) {
  EXPECT_EQ(round_ticks(0.9, 7.7, 7), (std::vector<double>{1, 2, 3, 4, 5, 6, 7}));
  EXPECT_EQ(round_ticks(0, 1, 2), (std::vector<double>{0, 0.5, 1}));
  EXPECT_TRUE(round_ticks(3, 3, 5).empty());
  std::vector<double> values;
  for (const LogTick& tick : log_ticks(0.015, 0.6)) values.push_back(tick.value);
  ASSERT_EQ(values.size(), 5u);
  EXPECT_NEAR(values.front(), 0.02, 1e-12);
  EXPECT_NEAR(values.back(), 0.5, 1e-12);
  const Scale log{1, 100, 10, 30, true};
  EXPECT_DOUBLE_EQ(log(10), 20);
}

}  // namespace
}  // namespace snug::report
