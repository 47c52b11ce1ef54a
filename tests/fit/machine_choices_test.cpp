// What the machine decides is decided once: a start with other room keeps to it.
#include "fit/machine_choices.hpp"

#include <gtest/gtest.h>

#include "infer/tiny_llama.hpp"
#include "source/open_model.hpp"
#include "support/scratch.hpp"
#include "support/tiny_model.hpp"

namespace snug {
namespace {

constexpr int64_t kPlenty = int64_t{1} << 40;

class Choices : public testing::Test {
 protected:
  MachineChoices with(const Room& room, ChoiceRequest request = asked()) const {
    return choices_for(model_, request, room);
  }
  static ChoiceRequest asked() { return {.feedback = Feedback::on, .output_bytes = 1 << 20}; }

  const test::Scratch scratch_;
  const ModelSource model_ = open_model(test::tiny_model());
};

TEST_F(Choices, FollowTheRoom) {
  const MachineChoices all = with({kPlenty, kPlenty});
  EXPECT_TRUE(all.runs_model);
  EXPECT_TRUE(all.judges);
  EXPECT_EQ(all.hessian_width, hessian_width_in_time(model_, Feedback::on));
  EXPECT_FALSE(all.built_in_text);
  EXPECT_EQ(with({kPlenty, 0}).hessian_width, 0);
  int64_t before = 0;
  for (int64_t room = 1; room < kPlenty; room *= 2) {
    const int64_t width = with({kPlenty, room}).hessian_width;
    EXPECT_GE(width, before);
    before = width;
  }
  EXPECT_EQ(before, all.hessian_width);
}

TEST_F(Choices, OfALargerModelAreToRunItOverTheTextThatComesWithTheProgram) {
  const MachineChoices little = with({model_.bytes() - 1, kPlenty});
  EXPECT_TRUE(little.runs_model);
  EXPECT_TRUE(little.judges);
  EXPECT_TRUE(little.built_in_text);
  ChoiceRequest named = asked();
  named.text_is_named = true;
  EXPECT_FALSE(with({model_.bytes() - 1, kPlenty}, named).built_in_text);
}

TEST_F(Choices, OfALargerModelWithoutATokenizerAreNotToRunIt) {
  const auto path = scratch_ / "bare.gguf";
  test::write_tiny_llama({}, path);
  const ModelSource bare = open_model(path);
  EXPECT_TRUE(choices_for(bare, asked(), {bare.bytes(), kPlenty}).runs_model);
  EXPECT_EQ(choices_for(bare, asked(), {bare.bytes() - 1, kPlenty}), MachineChoices{});
}

TEST_F(Choices, OfAnEarlierVersionAreThoseWithoutABuiltInText) {
  Store state = Store::open(scratch_ / "state", Access::write);
  keep_choices(state, model_, asked(), {true, true, 64, true});
  EXPECT_TRUE(kept_choices(state, model_, asked())->built_in_text);
  Digest key;
  state.for_each([&](const Record& record) { key = record.key; });
  const std::string before = "snug_machine_choices\n1 1 64\n";
  state.put(RecordKind::note, key, std::as_bytes(std::span{before}));
  EXPECT_EQ(kept_choices(state, model_, asked()), (MachineChoices{true, true, 64, false}));
}

TEST_F(Choices, FollowTheWishes) {
  ChoiceRequest request = asked();
  request.text_is_named = true;
  EXPECT_TRUE(with({1, 1}, request).runs_model);  // however slow
  request.feedback = Feedback::off;
  EXPECT_EQ(with({kPlenty, kPlenty}, request).hessian_width, 0);
  request.may_run = false;
  EXPECT_EQ(with({kPlenty, kPlenty}, request), MachineChoices{});
}

TEST_F(Choices, AreKeptForTheSameRequestAlone) {
  Store state = Store::open(scratch_ / "state", Access::write);
  EXPECT_FALSE(kept_choices(state, model_, asked()));
  const MachineChoices little = with({kPlenty, 1 << 20});
  keep_choices(state, model_, asked(), little);
  EXPECT_EQ(kept_choices(state, model_, asked()), little);
  EXPECT_NE(with({kPlenty, kPlenty}), little);
  ChoiceRequest other = asked();
  other.output_bytes += 1;
  EXPECT_FALSE(kept_choices(state, model_, other));
}

TEST_F(Choices, OfADamagedNoteAreMadeAgain) {
  Store state = Store::open(scratch_ / "state", Access::write);
  keep_choices(state, model_, asked(), {true, true, 64});
  Digest key;
  state.for_each([&](const Record& record) { key = record.key; });
  for (const std::string text : {"", "snug_machine_choices\n", "snug_machine_choices\n1 1 -5\n",
                                 "snug_machine_choices\n7 1 64\n", "snug_machine_choices\n1 1 99999999999999999999\n",
                                 "something else\n1 1 64\n"}) {
    state.put(RecordKind::note, key, std::as_bytes(std::span{text}));
    EXPECT_FALSE(kept_choices(state, model_, asked())) << text;
  }
}

}  // namespace
}  // namespace snug
