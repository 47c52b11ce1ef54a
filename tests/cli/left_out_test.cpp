// What a fit leaves out that nobody asked to leave out: said in the table, the recipe, the JSON and to whom wanted quiet;
// an error with --strict.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "cli/run_program.hpp"
#include "fit/machine_choices.hpp"
#include "snug/budget.hpp"
#include "source/open_model.hpp"
#include "support/gguf_bytes.hpp"
#include "support/tiny_model.hpp"

namespace snug {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using test::Outcome;

class LeftOutOfFit : public test::RunProgram {
 protected:
  LeftOutOfFit() {
    write("model.gguf", contents(test::tiny_model()));
    write("im.gguf", contents(test::tiny_imatrix()));
  }

  static json left_out_of(const Outcome& outcome) {
    const json document = json::parse(outcome.out, nullptr, false);
    return document.is_discarded() ? json{} : document["recipe"].value("left_out", json::array());
  }
  static bool names(const json& left_out, const std::string& what) {
    return std::ranges::any_of(left_out, [&](const json& each) { return each["what"].get<std::string>().find(what) == 0; });
  }

  void write_unknown_architecture() {
    test::GgufBytes{}
        .key("general.architecture", "brand-new")
        .f32("blk.99.ffn_up.weight", {64, 32}, std::vector<float>(64 * 32, 0.5f))
        .save(scratch_ / "new.gguf");
  }
  static constexpr const char* kFit = "fit model.gguf --formats q4_K,q6_K --bpw 5 --calib-chunks 2 --calib-ctx 32";
};

TEST_F(LeftOutOfFit, NothingIsSaidWhereNothingIs) {
  const Outcome outcome = snug(std::string{kFit} + " --strict --json -q -o o.gguf --recipe r.json");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_TRUE(left_out_of(outcome).empty());
  EXPECT_FALSE(json::parse(contents("r.json")).contains("left_out"));
  EXPECT_EQ(outcome.err, "");
}

TEST_F(LeftOutOfFit, AnUnknownArchitectureIsSaidEverywhere) {
  write_unknown_architecture();
  const std::string fit = "fit new.gguf --bpw 9 -o o.gguf --recipe r.json";
  const Outcome strict = snug(fit + " --strict");
  EXPECT_EQ(strict.exit_code, 1);
  EXPECT_NE(strict.err.find("brand-new"), std::string::npos) << strict.err;
  EXPECT_NE(strict.err.find("--strict"), std::string::npos) << strict.err;
  EXPECT_FALSE(exists("new.snug-state"));
  const Outcome quiet = snug(fit + " -q");
  ASSERT_EQ(quiet.exit_code, 0) << quiet.err;
  EXPECT_EQ(std::ranges::count(quiet.err, '\n'), 1) << quiet.err;
  EXPECT_NE(quiet.err.find("left out: "), std::string::npos);
  EXPECT_NE(quiet.out.find("left out  the model's own run"), std::string::npos) << quiet.out;
  EXPECT_TRUE(names(json::parse(contents("r.json"))["left_out"], "the model's own run"));
  EXPECT_TRUE(names(left_out_of(snug(fit + " --force --json")), "the model's own run"));
  EXPECT_NE(snug("inspect r.json").out.find("left out  "), std::string::npos);
}

TEST_F(LeftOutOfFit, WhatWasAskedForIsNotLeftOut) {
  const Outcome outcome =
      snug("fit model.gguf --imatrix im.gguf --formats q6_K --bpw 9 --no-probe --gptq off --strict --json --dry-run");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_TRUE(left_out_of(outcome).empty()) << outcome.out;
}

/// What little memory decides is said and kept, whatever is free later; a text that was named is read in any case.
TEST_F(LeftOutOfFit, AnotherTextForWantOfMemoryIsSaid) {
  const std::string fit = std::string{kFit} + " -q -o o.gguf --recipe r.json";
  EXPECT_EQ(snug(fit + " --memory 1MB --strict").exit_code, 1);
  ASSERT_EQ(snug(fit + " --memory 1MB").exit_code, 0);
  EXPECT_TRUE(names(json::parse(contents("r.json"))["left_out"], "the text that the model would write itself"));
  EXPECT_TRUE(names(left_out_of(snug(fit + " --json --force")), "the text that the model would write itself"));
  const json named = left_out_of(snug(fit + " --json --force --memory 1MB --calib built-in"));
  EXPECT_FALSE(names(named, "the text that the model would write itself")) << named;
}

/// A model that was finished by other decisions is in the way, and not taken for what is decided anew.
TEST_F(LeftOutOfFit, WhatIsDecidedAnewIsWrittenAnew) {
  const std::string fit = std::string{kFit} + " -q -o o.gguf --recipe r.json";
  ASSERT_EQ(snug(fit).exit_code, 0);
  const std::string model = contents("o.gguf"), recipe = contents("r.json");
  fs::remove(scratch_ / "o.gguf"), fs::remove(scratch_ / "r.json"), fs::remove_all(scratch_ / "measurements");
  ASSERT_EQ(snug(fit + " --memory 1MB").exit_code, 0);
  EXPECT_NE(contents("r.json"), recipe);
  EXPECT_EQ(snug(fit + " --decide-anew").exit_code, 5);
  ASSERT_EQ(snug(fit + " --decide-anew --force").exit_code, 0);
  EXPECT_EQ(contents("o.gguf"), model);
  EXPECT_EQ(contents("r.json"), recipe);
}

/// Here for weights that are no numbers; for want of memory it is the same.
TEST_F(LeftOutOfFit, AStartThatEndedAtOnceDecidesNothing) {
  const std::string whole = contents("model.gguf"), fit = std::string{kFit} + " --json -q --dry-run --state s.state";
  write("model.gguf", whole.substr(0, whole.size() - 64) + std::string(64, '\xff'));
  EXPECT_EQ(snug(fit + " --memory 1MB").exit_code, 1);
  write("model.gguf", whole);
  const Outcome outcome = snug(fit);
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_TRUE(left_out_of(outcome).empty()) << outcome.out;
}

TEST_F(LeftOutOfFit, AnImatrixOfAnotherModelIsRefused) {
  write_unknown_architecture();
  const Outcome none = snug("fit new.gguf --imatrix im.gguf --bpw 9 -o o.gguf");
  EXPECT_EQ(none.exit_code, 1);
  EXPECT_NE(none.err.find("of another model"), std::string::npos) << none.err;
  EXPECT_FALSE(exists("new.snug-state"));
  test::GgufBytes{}
      .key("general.type", "imatrix")
      .key("imatrix.datasets", 9,
           test::GgufBytes::le<uint32_t>(8) + test::GgufBytes::le<uint64_t>(1) + test::GgufBytes::text("calib.txt"))
      .key_u32("imatrix.chunk_count", 3)
      .key_u32("imatrix.chunk_size", 256)
      .f32("blk.99.ffn_up.weight.in_sum2", {64}, std::vector<float>(64, 1))
      .f32("blk.99.ffn_up.weight.counts", {1}, {1})
      .f32("blk.7.ffn_up.weight.in_sum2", {64}, std::vector<float>(64, 1))
      .f32("blk.7.ffn_up.weight.counts", {1}, {1})
      .save(scratch_ / "some.gguf");
  const Outcome some = snug("plan new.gguf --imatrix some.gguf --no-probe --bpw 9 -o r.json");
  ASSERT_EQ(some.exit_code, 0) << some.err;
  EXPECT_TRUE(names(json::parse(contents("r.json"))["left_out"], "the imatrix's data for tensor blk.7.ffn_up.weight"));
}

/// The first start had little room: the next keeps to what it chose, and says so, until it is told to choose anew.
TEST_F(LeftOutOfFit, WhatAnEarlierStartChoseHolds) {
  const ModelSource model = open_model(test::tiny_model());
  int64_t weights = 0;
  for (const Tensor& tensor : model.tensors()) weights += tensor.weights();
  const ChoiceRequest asked{.feedback = Feedback::automatic, .output_bytes = Budget::of_tensors(5).bytes(weights)};
  {
    Store state = Store::open(scratch_ / "s.state", Access::write);
    keep_choices(state, model, asked, {.runs_model = true, .judges = false, .hessian_width = 0});
  }
  const std::string fit = std::string{kFit} + " --json -q --dry-run --state s.state";
  const json kept = left_out_of(snug(fit));
  EXPECT_TRUE(names(kept, "error feedback")) << kept;
  EXPECT_TRUE(names(kept, "judging")) << kept;
  EXPECT_EQ(left_out_of(snug(fit)), kept);
  EXPECT_TRUE(left_out_of(snug(fit + " --decide-anew")).empty());
  EXPECT_TRUE(left_out_of(snug(fit)).empty());
}

}  // namespace
}  // namespace snug
