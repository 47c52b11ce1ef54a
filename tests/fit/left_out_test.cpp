#include "fit/left_out.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "source/open_model.hpp"
#include "support/tiny_model.hpp"

namespace snug {
namespace {

class LeftOutOfAFit : public testing::Test {
 protected:
  bool says(const std::string& what, const MachineChoices& choices, int64_t context = 256) const {
    EvidenceRequest request;
    request.collect.keep = ".";
    request.options.calibration.context = context;
    const auto all = left_out_of(model_, request, nullptr, Feedback::off, choices);
    return std::ranges::any_of(all, [&](const LeftOut& each) { return each.what.starts_with(what); });
  }
  bool says_corrections(int64_t context, bool judges = true) const {
    return says("correcting the losses", {.runs_model = true, .judges = judges}, context);
  }

  static constexpr int64_t kLong = int64_t{1} << 40;  // tokens: more than four hours of a core
  const ModelSource model_ = open_model(test::tiny_model());
};

TEST_F(LeftOutOfAFit, ATextThatTakesThePlaceOfTheModelsOwnIsSaid) {
  EXPECT_FALSE(says("the text that the model would write", {.runs_model = true, .judges = true}));
  EXPECT_TRUE(says("the text that the model would write", {.runs_model = true, .judges = true, .built_in_text = true}));
}

TEST_F(LeftOutOfAFit, CorrectionsAreSaidWhereTheyWouldTakeTooLong) {
  EXPECT_FALSE(says_corrections(256));
  EXPECT_TRUE(says_corrections(kLong));
  EXPECT_FALSE(says_corrections(kLong, false)) << "nothing is judged, which is said instead";
}

}  // namespace
}  // namespace snug
