// Files in which passes stand that say what no pass can: refused, however right their key and digest are.
#include "infer/reverse/saved_reverse.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <vector>

#include "infer/sweep_place.hpp"
#include "support/scratch.hpp"
#include "tools/arch_models/arch_models.hpp"

namespace snug::infer {
namespace {

constexpr uint64_t kMagic = 0x316b636162736773;
constexpr int64_t kTokens = 5, kDraws = 2;

class CraftedPlace : public testing::Test {
 protected:
  CraftedPlace() {
    for (uint64_t seed = 1; lender < 0; ++seed) load(seed);
    width = model->architecture().memory(lender).key_width;
    extra = model->layers() * *model->source().metadata().integer("gemma4.embedding_length_per_layer_input");
  }

  /// In some drafts no block lends.
  void load(uint64_t seed) {
    if (seed == 20) throw std::logic_error("no draft has a block that lends");
    for (const tools::ArchModel& kind : tools::arch_models())
      if (kind.name == "gemma4_per_layer") tools::write_arch_model(kind, seed, scratch / "model.gguf");
    model = std::make_unique<Model>(open_model(scratch / "model.gguf"));
    for (int block = 0; block < model->layers(); ++block)
      if (model->architecture().lends(block)) lender = block;
  }

  struct Lent {
    int64_t block, tokens, width;
  };
  /// Whether a file that says so is taken.
  bool is_taken(int64_t gradients, int64_t extras, std::vector<Lent> lent) const {
    NumberWriter write{scratch / "place", kMagic, Digest{}};
    write(int64_t{0}), write(int64_t{1});
    write_rows(write, Activations(gradients, model->hparams().embedding));
    write_rows(write, extras > 0 ? Activations(kDraws * kTokens, extras) : Activations{});
    write(std::ssize(lent));
    for (const auto& [block, tokens, columns] : lent) {
      write(block);
      for (const int64_t draws : {int64_t{1}, int64_t{1}, kDraws, kDraws}) write_rows(write, Activations(draws * tokens, columns));
    }
    write.finish();
    const std::vector<int32_t> text(kTokens, 1);
    ReversePass pass{*model, text, kDraws, hooks};
    return SavedReverse{scratch / "place", Digest{}}.load({&pass}, [](NumberReader&, size_t) {}).has_value();
  }

  test::Scratch scratch;
  std::unique_ptr<Model> model;
  ReverseHooks hooks;
  int lender = -1;
  int64_t width = 0, extra = 0;
};

TEST_F(CraftedPlace, OfThePassIsTaken) {
  EXPECT_TRUE(is_taken(kDraws * kTokens, 0, {}));
  EXPECT_TRUE(is_taken(kDraws * kTokens, extra, {{lender, kTokens, width}}));
}

TEST_F(CraftedPlace, OfAnotherShapeIsNot) {
  EXPECT_FALSE(is_taken(kTokens, 0, {}));
  EXPECT_FALSE(is_taken(kDraws * kTokens, 1, {}));
  EXPECT_FALSE(is_taken(kDraws * kTokens, extra, {{lender, kTokens, 1}}));
  EXPECT_FALSE(is_taken(kDraws * kTokens, extra, {{lender, 1, width}}));
}

TEST_F(CraftedPlace, OfABlockThatLendsNothingIsNot) {
  EXPECT_FALSE(is_taken(kDraws * kTokens, extra, {{model->layers() - 1, kTokens, width}}));
  EXPECT_FALSE(is_taken(kDraws * kTokens, extra, {{-1, kTokens, width}}));
  EXPECT_FALSE(is_taken(kDraws * kTokens, extra, {{model->layers(), kTokens, width}}));
}

}  // namespace
}  // namespace snug::infer
