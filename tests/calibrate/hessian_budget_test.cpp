#include "calibrate/hessian_budget.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string_view>

#include "support/tiny_model.hpp"

namespace snug {
namespace {

class MomentRoomOfTiny : public testing::Test {
 protected:
  /// The least amount at which `answer` is at least `width`, amounts being whole numbers below 2^40.
  template <class Answer>
  static int64_t least(const Answer& answer, int64_t width) {
    int64_t low = 0, high = int64_t{1} << 40;
    while (low < high) {
      const int64_t middle = low + (high - low) / 2;
      if (answer(middle) >= width)
        high = middle;
      else
        low = middle + 1;
    }
    return low;
  }
  const ModelSource model_ = open_model(test::tiny_model());
  const int64_t widest_ = max_hessian_width(model_, {});
};

TEST_F(MomentRoomOfTiny, CountsAMatrixForEveryInput) {
  int64_t narrow = widest_;
  std::set<std::string_view> inputs;
  int64_t bytes = 0;
  for (const Tensor& tensor : model_.tensors()) {
    if (tensor.shape.size() < 2) continue;
    EXPECT_LE(tensor.cols(), widest_);
    narrow = std::min(narrow, tensor.cols());
    const std::string_view name = tensor.name;
    // k and v read what q reads, up what gate reads.
    if (name.find("attn_k") != name.npos || name.find("attn_v") != name.npos ||
        name.find("ffn_up") != name.npos)
      continue;
    if (tensor.cols() == widest_) bytes += widest_ * widest_ * 4;
  }
  ASSERT_LT(narrow, widest_);
  const auto width = [&](int64_t room) { return max_hessian_width(model_, {.bytes = room}); };
  const int64_t first = least(width, 1), all = least(width, widest_);
  EXPECT_EQ(width(first), narrow);
  EXPECT_EQ(width(first - 1), 0);
  EXPECT_EQ(all - first, bytes) << "the inputs that are " << widest_ << " wide";
}

TEST_F(MomentRoomOfTiny, TimeLimitsTheWidthAsRoomDoes) {
  const auto width = [&](int64_t microseconds) {
    return max_hessian_width(model_, {.seconds = static_cast<double>(microseconds) * 1e-6});
  };
  EXPECT_EQ(width(0), 0);
  const int64_t first = least(width, 1), all = least(width, widest_);
  EXPECT_GT(first, 0);
  EXPECT_GT(all, first);
  EXPECT_LT(width(first), widest_);
  EXPECT_EQ(feedback_seconds(model_, 0), 0);
  EXPECT_NEAR(feedback_seconds(model_, width(first)) * 1e6, static_cast<double>(first), 1);
  EXPECT_NEAR(feedback_seconds(model_, widest_) * 1e6, static_cast<double>(all), 1);
}

}  // namespace
}  // namespace snug
