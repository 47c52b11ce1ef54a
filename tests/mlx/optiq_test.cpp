#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "snug/profile.hpp"
#include "snug/solve.hpp"
#include "support/scratch.hpp"

// What another allocator chooses of the same sensitivities: its target is a floor that it overshoots, and its
// choices are greedy with rules on top.
namespace snug {
namespace {

using nlohmann::json;

/// One of its cases, with losses of ours: where its divergence rises with the bits it is what is gained, not
/// lost.
class Case {
 public:
  Case(const json& line, double of_protected) : line_(line) {
    for (const json& layer : line["layers"]) {
      const double weight = is_protected(layer["name"]) ? of_protected : 1;
      auto& choices = problem.tensors.emplace_back();
      for (const int bits : line["candidates"]) {
        const Choice choice{bytes_of(layer, bits), pico_nats(weight * loss_of(layer, bits))};
        choices.push_back(choice);
        if (bits != layer["bits"].get<int>()) continue;
        their_bytes += choice.bytes;
        their_loss += choice.loss;
      }
    }
  }

  int64_t target_bytes() const {
    double weights = 0;
    for (const json& layer : line_["layers"]) weights += layer["params"].get<double>();
    return static_cast<int64_t>(weights * line_["target"].get<double>() / 8);
  }

  Solution solved(int64_t budget) {
    problem.budget_bytes = budget;
    return solve(problem);
  }

  Problem problem;
  int64_t their_bytes = 0, their_loss = 0;

 private:
  static int64_t bytes_of(const json& layer, int bits) { return layer["params"].get<int64_t>() * bits / 8; }
  static double kl(const json& layer, int bits) { return layer["kl"][std::to_string(bits)]; }
  double loss_of(const json& layer, int bits) const {
    const int low = line_["candidates"].front(), high = line_["candidates"].back();
    const bool gains = kl(layer, high) > kl(layer, low);
    return gains ? kl(layer, high) - kl(layer, bits) : kl(layer, bits);
  }
  /// Those that it multiplies by 100: ends of the model.
  bool is_protected(const std::string& name) const {
    int last = 0;
    for (const json& layer : line_["layers"]) last = std::max(last, block_of(layer["name"]));
    return block_of(name) <= 0 || block_of(name) == last;
  }
  static int block_of(const std::string& name) {
    const size_t at = name.find("layers.");
    return at == name.npos ? -1 : std::stoi(name.substr(at + 7));
  }

  const json& line_;
};

std::vector<json> cases() {
  std::ifstream file{test::data_folder() / "mlx" / "optiq_allocator.jsonl"};
  std::vector<json> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(json::parse(line));
  return lines;
}

TEST(Optiq, NeverLosesLessWithAsManyBytes) {
  ASSERT_EQ(cases().size(), 3u);
  int loses_more = 0;
  for (const json& line : cases())
    for (const double weight : {1.0, 100.0}) {  // as measured, and as it weighs the ends
      SCOPED_TRACE(line["case"].get<std::string>());
      Case its{line, weight};
      const Solution ours = its.solved(its.their_bytes);
      EXPECT_EQ(ours.stop, SolveStatus::optimal);
      EXPECT_LE(ours.bytes, its.their_bytes);
      EXPECT_LE(ours.loss, its.their_loss);
      loses_more += ours.loss < its.their_loss;
    }
  EXPECT_EQ(loses_more, 5);
}

TEST(Optiq, ItsTargetIsKeptAsABudget) {
  int overshot = 0;
  for (const json& line : cases()) {
    SCOPED_TRACE(line["case"].get<std::string>());
    Case its{line, 1};
    const Solution ours = its.solved(its.target_bytes());
    EXPECT_EQ(ours.stop, SolveStatus::optimal);
    EXPECT_LE(ours.bytes, its.target_bytes());
    overshot += its.their_bytes > its.target_bytes();
  }
  EXPECT_EQ(overshot, 2) << "of three of its own";
}

}  // namespace
}  // namespace snug
