// What a search found is found again, whatever the clock says then.
#include "fit/solution_store.hpp"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "support/scratch.hpp"

namespace snug {
namespace {

class Solutions : public testing::Test {
 protected:
  Solutions() {
    std::mt19937_64 random{7};
    for (auto& tensor : problem_.tensors)
      for (int64_t bits = 2; bits < 9; ++bits)
        tensor.push_back({1000 * bits + static_cast<int64_t>(random() % 500), static_cast<int64_t>(random() % 9000 + 90000 / bits)});
    problem_.budget_bytes = 40 * 4500;
    for (const auto& choices : problem_.tensors) {
      auto& format = limit_.formats[0].format.emplace_back();
      auto& cost = side_.side[0].cost.emplace_back();
      for (size_t c = 0; c < choices.size(); ++c) format.push_back(static_cast<int>(c)), cost.push_back(choices[c].bytes);
    }
  }

  static void expect_same(const Solution& a, const Solution& b) {
    EXPECT_EQ(a.stop, b.stop);
    EXPECT_EQ(a.pick, b.pick);
    EXPECT_EQ(a.bytes, b.bytes);
    EXPECT_EQ(a.loss, b.loss);
    EXPECT_EQ(a.claimed_bound, b.claimed_bound);
    EXPECT_EQ(a.certified_bound, b.certified_bound);
    EXPECT_EQ(to_text(a.certificate), to_text(b.certificate));
    EXPECT_EQ(a.smallest, b.smallest);
    EXPECT_EQ(a.largest, b.largest);
  }

  /// The only note of the state, changed.
  void change(const std::string& from, const std::string& to) {
    Record found;
    state_.for_each([&](const Record& record) { found = record; });
    std::string text{reinterpret_cast<const char*>(found.payload.data()), found.payload.size()};
    ASSERT_NE(text.find(from), std::string::npos);
    text.replace(text.find(from), from.size(), to);
    state_.put(RecordKind::note, found.key, std::as_bytes(std::span{text}));
  }

  const test::Scratch scratch_;
  Store state_ = Store::open(scratch_ / "state", Access::write);
  Problem problem_{std::vector<std::vector<Choice>>(40), 0};
  Constraints limit_{{}, {{{}, 3}}}, side_{{{"half", {}, 40 * 4400}}, {}};
  const SolveOptions hurried_{.seconds = 0};
};

TEST_F(Solutions, AreTheSameWhenTheyAreReadAgain) {
  for (const Constraints& constraints : {Constraints{}, limit_, side_}) {
    EXPECT_FALSE(kept_solution(state_, problem_, constraints, {}));
    const Solution found = remembering_solver(state_)(problem_, constraints, {});
    ASSERT_EQ(found.stop, SolveStatus::optimal);
    const auto kept = kept_solution(state_, problem_, constraints, {});
    ASSERT_TRUE(kept);
    expect_same(*kept, found);
  }
}

TEST_F(Solutions, OfASearchThatTheClockEndedAreKeptToo) {
  const Solution best = solve_anew(problem_, limit_, {});
  Solution poor = best;  // as a search may end on a machine that is busy
  poor.pick.assign(40, 0);
  poor.stop = SolveStatus::time_limit;
  keep_solution(state_, problem_, limit_, {}, poor);
  EXPECT_EQ(remembering_solver(state_)(problem_, limit_, {}).pick, poor.pick);
  EXPECT_EQ(remembering_solver(state_)(problem_, limit_, {}).stop, SolveStatus::time_limit);
  EXPECT_EQ(remembering_solver(state_, true)(problem_, limit_, {}).pick, best.pick);  // replaces it
  EXPECT_EQ(remembering_solver(state_)(problem_, limit_, {}).pick, best.pick);
}

TEST_F(Solutions, BelongToOneProblemAndOneWayToSolveIt) {
  remembering_solver(state_)(problem_, {}, {});
  Problem other = problem_;
  other.budget_bytes += 1;
  EXPECT_FALSE(kept_solution(state_, other, {}, {}));
  other = problem_;
  other.tensors[3][2].loss += 1;
  EXPECT_FALSE(kept_solution(state_, other, {}, {}));
  EXPECT_FALSE(kept_solution(state_, problem_, limit_, {}));
  EXPECT_FALSE(kept_solution(state_, problem_, side_, {}));
  EXPECT_FALSE(kept_solution(state_, problem_, {}, hurried_));
  EXPECT_TRUE(kept_solution(state_, problem_, {}, {}));
}

TEST_F(Solutions, ThatAreNoneOfTheProblemAreNotTaken) {
  const Solution found = remembering_solver(state_)(problem_, limit_, {});
  const std::string first = "\n40 " + std::to_string(found.pick[0]) + " ";
  for (const std::string& wrong : {std::string{"\n40 7 "}, std::string{"\n40 -1 "}, std::string{"\n39 0 "},
                                   std::string{"\n4000000000 0 "}, std::string{"\n40 x "}}) {
    change(first, wrong);
    EXPECT_FALSE(kept_solution(state_, problem_, limit_, {})) << wrong;
    change(wrong, first);
  }
  change("snug certificate 1", "snug certificate 2");
  EXPECT_FALSE(kept_solution(state_, problem_, limit_, {}));
  change("snug certificate 2\nloss", "snug certificate 1\nprice 1 0\nloss");
  EXPECT_FALSE(kept_solution(state_, problem_, limit_, {}));
}

TEST_F(Solutions, OfABudgetOutOfReachAreNotKept) {
  problem_.budget_bytes = 1;
  EXPECT_EQ(remembering_solver(state_)(problem_, {}, {}).stop, SolveStatus::infeasible);
  EXPECT_EQ(state_.count(RecordKind::note), 0);
}

}  // namespace
}  // namespace snug
