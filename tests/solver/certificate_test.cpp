#include <gtest/gtest.h>

#include "snug/error.hpp"
#include "snug/solve.hpp"
#include "solver/random_problem.hpp"

namespace snug {
namespace {

/// One tensor, two choices, and half a step of room: no price proves that the small one has to be taken.
const Problem kGap{{{{10, 100}, {20, 0}}, {{1, 0}}}, 16};

TEST(Certificate, APriceProvesABoundThatCanBeCheckedByHand) {
  const Problem p{{{{0, 100}, {10, 0}}, {{0, 50}, {10, 40}, {20, 0}}}, 15};
  // At 5 per byte: 50 + 50 - 5 * 15 = 25. Only multiples of 10 bytes can be taken, so 5 * 10 counts: 50.
  EXPECT_EQ(proven_bound(p, {5, 1}), 50);
  EXPECT_EQ(proven_bound(p, {0, 1}), 0);
  EXPECT_EQ(proven_bound(p, {1, 3}), 7);  // 10/3 + 20/3 - 10/3, and losses are whole
}

TEST(Certificate, ABoundIsNeverAboveTheOptimumWhateverThePrice) {
  std::mt19937_64 random{1};
  for (uint64_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE(seed);
    const Problem p = test::random_feasible_problem(seed);
    const int64_t least = test::best_by_enumeration(p).loss;
    for (const int64_t scale : {int64_t{10}, int64_t{1'000'000}, kSumLimit}) {
      const Price price{static_cast<int64_t>(random() % static_cast<uint64_t>(scale)),
                        1 + static_cast<int64_t>(random() % static_cast<uint64_t>(scale))};
      EXPECT_LE(proven_bound(p, price), least);
      EXPECT_GE(proven_bound(p, price), 0);
    }
    EXPECT_LE(proven_bound(p, {kSumLimit, kSumLimit}), least);
    EXPECT_LE(proven_bound(p, {kSumLimit, 1}), least);
  }
}

TEST(Certificate, ProvesEveryClaimUpToTheOptimumAndNoneAbove) {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE(seed);
    const Problem p = test::random_feasible_problem(seed);
    const int64_t least = test::best_by_enumeration(p).loss;
    Certificate c = solve(p).certificate;
    if (c.order.empty())
      for (uint32_t t = 0; t < p.tensors.size(); ++t) c.order.push_back(t);
    for (const int64_t claim : {least - 1, least, least + 1, least + 12345, kSumLimit}) {
      c.loss = claim;
      const int64_t proven = check_certificate(p, c);
      EXPECT_LE(proven, least);
      EXPECT_GE(proven, std::min(claim, least));
    }
  }
}

TEST(Certificate, AnyPricesAndAnyOrderGiveATrueBound) {
  for (uint64_t seed = 0; seed < 100; ++seed) {
    SCOPED_TRACE(seed);
    const Problem p = test::random_feasible_problem(seed);
    std::mt19937_64 random{seed};
    Certificate c{kSumLimit, {{3, 7}, {0, 1}}, {}};
    for (uint32_t t = 0; t < p.tensors.size(); ++t) c.order.push_back(t);
    std::ranges::shuffle(c.order, random);
    EXPECT_EQ(check_certificate(p, c), test::best_by_enumeration(p).loss);
    c.prices.clear();
    EXPECT_EQ(check_certificate(p, c), test::best_by_enumeration(p).loss);
  }
}

TEST(Certificate, ClosesAGapThatNoPriceCan) {
  const Solution s = solve(kGap);
  EXPECT_EQ(s.loss, 100);
  EXPECT_EQ(s.certified_bound, 100);
}

TEST(Certificate, SurvivesItsText) {
  const Problem p = test::synthetic_problem(50, 8, 1);
  const Certificate c = solve(p).certificate;
  const Certificate again = parse_certificate(to_text(c));
  EXPECT_EQ(again.loss, c.loss);
  EXPECT_EQ(again.order, c.order);
  EXPECT_EQ(to_text(again), to_text(c));
  EXPECT_EQ(check_certificate(p, again), check_certificate(p, c));
}

TEST(Certificate, TextThatIsNoneIsRefused) {
  EXPECT_THROW(parse_certificate(""), Error);
  EXPECT_THROW(parse_certificate("snug certificate 2\nprice 1 1\n"), Error);
  EXPECT_THROW(parse_certificate("snug certificate 1\n"), Error);
  EXPECT_NO_THROW(parse_certificate("snug certificate 1\nprice 1 1\n"));
  for (const char* line : {"loss", "price 1", "price 1 1 1", "price 1 x", "order 1 2 x", "order 4294967296",
                           "order -1", "price 99999999999999999999 1", "foo 1", "loss 1 2"})
    EXPECT_THROW(parse_certificate(std::string{"snug certificate 1\nprice 1 1\n"} + line + "\n"), Error)
        << line;
}

TEST(Certificate, OneOfAnotherProblemIsRefused) {
  for (const Certificate& c : {Certificate{1, {{1, 1}}, {0}}, Certificate{1, {{1, 1}}, {0, 0}},
                               Certificate{1, {{1, 1}}, {0, 2}}, Certificate{1, {{-1, 1}}, {}},
                               Certificate{1, {{1, 0}}, {}}, Certificate{1, {{1, kSumLimit + 1}}, {}}})
    EXPECT_THROW(check_certificate(kGap, c), Error);
  EXPECT_THROW(proven_bound(kGap, {1, -1}), Error);
  EXPECT_THROW(proven_bound({{{}}, 1}, {1, 1}), Error);
  EXPECT_THROW(proven_bound({{{{-1, 0}}}, 1}, {1, 1}), Error);
  EXPECT_THROW(proven_bound({{{{kSumLimit, 0}}, {{1, 0}}}, 1}, {1, 1}), Error);
}

}  // namespace
}  // namespace snug
