// Ways there and back that are stopped, at any instant, and started again: what was done is known, and what comes of
// them is what a way without a stop brings.
#include "measure/sensitivity/saved_way.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>

#include "base/digest.hpp"
#include "base/events.hpp"
#include "base/files/read_file.hpp"
#include "base/memory.hpp"
#include "encode/encode_tensor.hpp"
#include "measure/encoded_block.hpp"
#include "measure/on_tiny_llama.hpp"
#include "measure/recipe_slopes.hpp"
#include "measure/sensitivity/sensitivity.hpp"
#include "support/arch_model_name.hpp"
#include "support/scratch.hpp"

namespace snug {
namespace {

constexpr int64_t kContext = 24, kChunks = 3;

/// Stops the work once so many units of a stage are done that were not known before, and remembers what is said.
class StopsAfter : public Events {
 public:
  explicit StopsAfter(int64_t units) : units_{units} {}
  void log(std::string_view line) override { lines += line; }
  void progress(const StageProgress& progress) override {
    done_ = std::max(done_.load(), progress.done - progress.known);
  }
  bool cancelled() const override { return done_ >= units_; }
  int64_t done() const { return done_; }
  std::string lines;

 private:
  int64_t units_;
  std::atomic<int64_t> done_ = 0;
};

class StoppedWay : public testing::TestWithParam<tools::ArchModel> {
 protected:
  StoppedWay() {
    tools::write_arch_model(GetParam(), 3, scratch / "model.gguf");
    model = std::make_unique<infer::Model>(open_model(scratch / "model.gguf"));
    tokens = test::random_tokens(kChunks * kContext, static_cast<int32_t>(model->vocabulary()), 5);
  }
  ~StoppedWay() override { set_memory_limit(0); }

  struct Found {
    std::string digest;
    Digest records;
    int64_t reused = 0;
    bool operator==(const Found& other) const { return digest == other.digest && records == other.records; }
  };
  Found sense(const std::string& state, Events& events) {
    const EventScope scope{events};
    Store store = Store::open(scratch / state, Access::write);
    SensitivityOptions options;
    options.chunks = kChunks;
    options.context = kContext;
    options.formats = "q8_0,q4_0";
    options.saved = {scratch / "way", 0};
    const SensitivityResults found = sensitivities(*model, nullptr, store, tokens, options);
    return {found.digest, store.contents_digest(), found.reused};
  }

  std::vector<Slopes> slopes(Events& events) {
    const EventScope scope{events};
    infer::Replacements all;
    std::deque<Encoded> encoded;
    for (const auto& [name, weight] : model->weights()) {
      if (weight.cols % 32 != 0) continue;
      encoded.push_back(encode_tensor(*model->source().find(name), *find_format(FormatId::q4_0), nullptr));
      all.emplace(&weight, infer::stand_in(*model, name, *encoded.back().format, encoded.back().data));
    }
    const TextChunks text{*model, tokens, {kChunks, kContext, std::nullopt}};
    return recipe_slopes(*model, text, std::vector<int64_t>{0, 1, 2},
                         [&](int) -> const infer::Replacements& { return all; }, {}, {scratch / "way", 0}, Digest{});
  }

  bool anything_left() const {
    for (const auto& entry : std::filesystem::directory_iterator(scratch.path()))
      if (entry.path().filename().string().starts_with("way")) return true;
    return false;
  }

  test::Scratch scratch;
  std::unique_ptr<infer::Model> model;
  std::vector<int32_t> tokens;
  Events nobody;
};

TEST_P(StoppedWay, OfSensitivitiesGoesOnFromWhereItStood) {
  const Found whole = sense("whole", nobody);
  EXPECT_FALSE(anything_left());
  for (const int64_t memory : {0, 20000}) {
    set_memory_limit(memory);
    StopsAfter counts{INT64_MAX};
    sense("counted", counts);
    ASSERT_GT(counts.done(), 2 * kChunks);
    std::filesystem::remove(scratch / "counted");
    for (int64_t units = kChunks; units < counts.done(); units += 2) {
      SCOPED_TRACE(units);
      StopsAfter stops{units}, again{INT64_MAX};
      EXPECT_THROW(sense("part", stops), Error);
      EXPECT_EQ(sense("part", again), whole);
      EXPECT_NE(again.lines.find("going on"), std::string::npos) << again.lines;
      EXPECT_LT(again.done(), counts.done());
      EXPECT_FALSE(anything_left());
      std::filesystem::remove(scratch / "part");
    }
  }
}

TEST_P(StoppedWay, OfSlopesGoesOnFromWhereItStood) {
  const std::vector<Slopes> whole = slopes(nobody);
  EXPECT_FALSE(anything_left());
  StopsAfter counts{INT64_MAX};
  slopes(counts);
  for (int64_t units = 1; units < counts.done() - 1; ++units) {
    SCOPED_TRACE(units);
    StopsAfter stops{units}, again{INT64_MAX};
    EXPECT_THROW(slopes(stops), Error);
    EXPECT_EQ(slopes(again), whole);
    EXPECT_NE(again.lines.find("going on"), std::string::npos) << again.lines;
    EXPECT_LT(again.done(), counts.done());
    EXPECT_FALSE(anything_left());
  }
}

/// Files that were cut off, changed, or belong to a state that has lost what they say is recorded.
TEST_P(StoppedWay, BeginsAnewWhereWhatWasSavedCannotBeTrusted) {
  const Found whole = sense("whole", nobody);
  StopsAfter counts{INT64_MAX};
  sense("counted", counts);
  const auto stop = [&](int64_t units) {
    for (const char* name : {"part", "way", "way-back", "way-states"}) std::filesystem::remove(scratch / name);
    StopsAfter stops{units};
    EXPECT_THROW(sense("part", stops), Error);
  };
  for (const int64_t units : {counts.done() / 4, counts.done() - 1})
    for (const auto& entry : {"way", "way-back", "way-states"}) {
      SCOPED_TRACE(entry);
      stop(units);
      if (!std::filesystem::exists(scratch / entry)) continue;
      std::string bytes = read_file(scratch / entry);
      bytes[bytes.size() - 30] ^= 1;
      std::ofstream{scratch / entry, std::ios::binary} << bytes;
      EXPECT_EQ(sense("part", nobody), whole);
      EXPECT_FALSE(anything_left());
    }
  stop(counts.done() - 1);
  std::filesystem::remove(scratch / "part");
  EXPECT_EQ(sense("part", nobody), whole);
}

TEST_P(StoppedWay, IsToldAndNoReasonToEndWhereNothingCanBeSaved) {
  const Found whole = sense("whole", nobody);
  std::filesystem::create_directory(scratch / "way-states");
  StopsAfter events{INT64_MAX};
  EXPECT_EQ(sense("other", events), whole);
  EXPECT_NE(events.lines.find("cannot be saved"), std::string::npos) << events.lines;
}

/// Embeddings that are the output matrix too, keys and values that blocks lend, inputs that every block
/// takes, experts.
std::vector<tools::ArchModel> some() {
  std::vector<tools::ArchModel> models;
  for (const tools::ArchModel& kind : tools::arch_models())
    for (const std::string_view name : {"gemma4_dense", "gemma4_per_layer", "gemma4_experts"})
      if (kind.name == name) models.push_back(kind);
  return models;
}

INSTANTIATE_TEST_SUITE_P(Architectures, StoppedWay, testing::ValuesIn(some()),
                         [](const auto& one) { return std::string{one.param.name}; });

}  // namespace
}  // namespace snug
