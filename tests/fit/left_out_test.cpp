#include "fit/left_out.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "source/open_model.hpp"
#include "support/tiny_model.hpp"

namespace snug {
namespace {

class LeftOutForTime : public testing::Test {
 protected:
  bool says_corrections(int64_t context, bool judges = true) const {
    EvidenceRequest request;
    request.collect.keep = ".";
    request.options.calibration.context = context;
    const MachineChoices choices{.runs_model = true, .judges = judges};
    const auto all = left_out_of(model_, request, nullptr, Feedback::off, choices);
    return std::ranges::any_of(all, [](const LeftOut& each) { return each.what.starts_with("correcting the losses"); });
  }

  static constexpr int64_t kLong = int64_t{1} << 40;  // tokens: more than four hours of a core
  const ModelSource model_ = open_model(test::tiny_model());
};

TEST_F(LeftOutForTime, CorrectionsAreSaidWhereTheyWouldTakeTooLong) {
  EXPECT_FALSE(says_corrections(256));
  EXPECT_TRUE(says_corrections(kLong));
  EXPECT_FALSE(says_corrections(kLong, false)) << "nothing is judged, which is said instead";
}

}  // namespace
}  // namespace snug
