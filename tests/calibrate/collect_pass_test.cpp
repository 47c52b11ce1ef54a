// Sums that a stopped run left are only believed where they can be what such a run wrote.
#include "calibrate/collect_pass.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "support/scratch.hpp"

namespace snug {
namespace {

const Digest kKey{};

CollectPass sound_pass() {
  CollectPass pass;
  pass.chunks_done = 3;
  pass.columns.emplace("blk.0.ffn_up.weight", ColumnSums{8, 2});
  MomentSums moments{"blk.0.ffn_up.weight", 4, 1, 2};
  moments.allocate();
  pass.moments.push_back(std::move(moments));
  return pass;
}

TEST(CollectPass, OnlySumsThatGoTogetherAreRead) {
  const test::Scratch scratch;
  const auto path = scratch / "resume";
  save_pass(path, kKey, sound_pass());
  const auto loaded = load_pass(path, kKey);
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->columns.begin()->second.squares.size(), 16u);
  using Change = std::function<void(ColumnSums&, MomentSums&)>;
  const Change changes[] = {
      [](ColumnSums& c, MomentSums&) { c.squares.clear(); },
      [](ColumnSums& c, MomentSums&) { c.sums.pop_back(); },
      [](ColumnSums& c, MomentSums&) { c.counts.clear(); },
      [](ColumnSums& c, MomentSums&) { c.cols = int64_t{1} << 62; },
      [](ColumnSums& c, MomentSums&) { c.mats = -2; },
      [](ColumnSums& c, MomentSums&) { c.squares[0] = -1; },
      [](ColumnSums& c, MomentSums&) { c.sums[0] = NAN; },
      [](ColumnSums&, MomentSums& m) { m.sums.clear(); },
      [](ColumnSums&, MomentSums& m) { m.counts.pop_back(); },
      [](ColumnSums&, MomentSums& m) { m.dim = int64_t{1} << 40; },
      [](ColumnSums&, MomentSums& m) { m.first = -1; },
      [](ColumnSums&, MomentSums& m) { m.sums[0] = INFINITY; },
  };
  for (size_t i = 0; i < std::size(changes); ++i) {
    CollectPass pass = sound_pass();
    changes[i](pass.columns.begin()->second, pass.moments.front());
    save_pass(path, kKey, pass);
    EXPECT_FALSE(load_pass(path, kKey)) << "change " << i;
  }
}

}  // namespace
}  // namespace snug
