#include "fit/measurement_files.hpp"

#include <gtest/gtest.h>

#include <fstream>

#include "snug/error.hpp"
#include "snug/state.hpp"
#include "support/scratch.hpp"

namespace snug {
namespace {

class KeptModels : public testing::Test {
 protected:
  KeptModels() {
    for (const char* name : {"big-0123456789abcdef", "small-model-0123456789abcdef", "small-model-fedcba9876543210"})
      Store::open(scratch_ / (std::string{name} + ".snug-state"), Access::write);
    put("big.0123456789ab.imatrix.gguf", 5000);
    put("small-model-0123456789abcdef.snug-state.status", 10);
    put("big-0123456789abcdef.snug-state.snug-part-000001", 10);
    put("big-0123456789abcdef.snug-state.resume-sweep", 700);
    put("somebody's own file.txt", 100000);
  }
  void put(const std::string& name, size_t bytes) const {
    std::ofstream{scratch_ / name} << std::string(bytes, 'x');
  }
  bool exists(const std::string& name) const { return std::filesystem::exists(scratch_ / name); }

  test::Scratch scratch_;
};

TEST_F(KeptModels, AreFoundWithAllThatIsTheirsTheLargestFirst) {
  const auto models = kept_models(scratch_.path());
  ASSERT_EQ(models.size(), 2u);
  EXPECT_EQ(models[0].name, "big");
  EXPECT_EQ(models[0].collected_bytes, 5000);
  EXPECT_EQ(models[0].others.size(), 2u);
  EXPECT_EQ(models[0].other_bytes, 710);
  EXPECT_EQ(models[0].bytes(), models[0].state_bytes + 5710);
  EXPECT_EQ(models[1].name, "small-model");
  EXPECT_EQ(models[1].states.size(), 2u);
  EXPECT_EQ(models[1].others.size(), 1u);
  EXPECT_GT(models[1].state_bytes, 0);
  EXPECT_TRUE(kept_models(scratch_ / "nowhere").empty());
}

TEST_F(KeptModels, LoseWhatIsAskedForAndNothingElse) {
  const auto models = kept_models(scratch_.path());
  EXPECT_EQ(remove_kept(models[0], Remove::collected), 5000);
  EXPECT_FALSE(exists("big.0123456789ab.imatrix.gguf"));
  EXPECT_TRUE(exists("big-0123456789abcdef.snug-state"));
  EXPECT_GT(remove_kept(models[1], Remove::all), 0);
  EXPECT_FALSE(exists("small-model-0123456789abcdef.snug-state"));
  EXPECT_FALSE(exists("small-model-0123456789abcdef.snug-state.status"));
  EXPECT_TRUE(exists("big-0123456789abcdef.snug-state"));
  EXPECT_TRUE(exists("somebody's own file.txt"));
}

TEST_F(KeptModels, AreLeftAloneWhileTheyAreWritten) {
  const Store writer = Store::open(scratch_ / "big-0123456789abcdef.snug-state", Access::write);
  const auto models = kept_models(scratch_.path());
  EXPECT_THROW(remove_kept(models[0], Remove::all), Error);
  EXPECT_TRUE(exists("big.0123456789ab.imatrix.gguf"));
}

}  // namespace
}  // namespace snug
