// A model that sees images is two files: what it takes for both to stay within a size, and to be there after a kill.
#include <gtest/gtest.h>

#include <csignal>
#include <random>

#include "base/str.hpp"
#include "cli/run_program.hpp"
#include "hf/tiny_tower.hpp"

namespace snug {
namespace {

namespace fs = std::filesystem;

const std::string kConfig = str(R"({"architectures":["Gemma3ForConditionalGeneration"],"model_type":"gemma3",
  "text_config":{"model_type":"gemma3_text","vocab_size":96,"hidden_size":64,"intermediate_size":64,"num_hidden_layers":2,
    "num_attention_heads":4,"num_key_value_heads":2,"head_dim":16,"query_pre_attn_scalar":16,"sliding_window":8,
    "max_position_embeddings":256},)", test::kTinyVision, "}");

void add_random(test::TinyCheckpoint& model, std::mt19937& random, const std::string& name, std::vector<int64_t> shape) {
  std::normal_distribution<float> draw{0, 0.1F};
  int64_t count = 1;
  for (const int64_t size : shape) count *= size;
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = draw(random);
  model.add_values(name, std::move(shape), values, test::Dtype::bf16);
}

void add_text(test::TinyCheckpoint& model) {
  std::mt19937 random{3};
  const auto add = [&](const std::string& name, std::vector<int64_t> shape) {
    add_random(model, random, "language_model.model." + name, std::move(shape));
  };
  add("embed_tokens.weight", {96, 64}), add("norm.weight", {64});
  for (const std::string layer : {"layers.0.", "layers.1."}) {
    for (const char* norm : {"input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm",
                             "post_feedforward_layernorm"})
      add(layer + norm + ".weight", {64});
    for (const char* norm : {"q_norm", "k_norm"}) add(layer + "self_attn." + norm + ".weight", {16});
    for (const char* wide : {"self_attn.q_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"})
      add(layer + wide + ".weight", {64, 64});
    for (const char* narrow : {"self_attn.k_proj", "self_attn.v_proj"}) add(layer + narrow + ".weight", {32, 64});
  }
}

class Mmproj : public test::RunProgram {
 protected:
  Mmproj() {
    fs::create_directory(scratch_ / "model");
    test::TinyCheckpoint model{kConfig};
    add_text(model);
    test::add_tiny_tower(model, 64);
    model.save(scratch_ / "model");
    write("model/preprocessor_config.json", test::kTinyProcessor);
  }

  int64_t size_of(const char* name) const { return static_cast<int64_t>(fs::file_size(scratch_ / name)); }

  static constexpr int64_t kSize = 60'000;
  const std::string fit_ = "fit model --size 60KB --calib-chunks 2 --calib-ctx 32 -q --state s ";
  const std::string both_ = fit_ + "-o o.gguf --mmproj p.gguf --mmproj-in-size";
};

TEST_F(Mmproj, CountsInTheSizeIfAskedTo) {
  const test::Outcome outcome = snug(both_);
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_LE(size_of("o.gguf") + size_of("p.gguf"), kSize);
  ASSERT_EQ(snug(fit_ + "-o alone.gguf --mmproj alone-p.gguf").exit_code, 0);
  EXPECT_LE(size_of("alone.gguf"), kSize);
  EXPECT_GT(size_of("alone.gguf") + size_of("alone-p.gguf"), kSize);
  EXPECT_EQ(contents("p.gguf"), contents("alone-p.gguf"));
  EXPECT_NE(snug("inspect p.gguf").out.find("clip"), std::string::npos);
}

TEST_F(Mmproj, KilledAtAnyInstantBothAreThereInTheEnd) {
  ASSERT_EQ(snug(both_).exit_code, 0);
  const std::string model = contents("o.gguf"), projector = contents("p.gguf");
  const auto goes_on = [&](const std::string& from) {
    const test::Outcome again = snug(both_);
    EXPECT_EQ(again.exit_code, 0) << from << again.err;
    EXPECT_EQ(contents("o.gguf"), model) << from;
    EXPECT_EQ(contents("p.gguf"), projector) << from;
  };
  goes_on("finished");
  fs::remove(scratch_ / "p.gguf");
  goes_on("killed between the two");
  fs::remove(scratch_ / "o.gguf");
  goes_on("without the model");
  for (const char* waits_for : {"s", "s.status", "o.gguf", "p.gguf"}) {
    for (const char* name : {"s", "s.status", "o.gguf", "p.gguf"}) fs::remove(scratch_ / name);
    interrupt(both_, [&] { return exists(waits_for); }, SIGKILL);
    goes_on(std::string{"killed once there was "} + waits_for);
  }
}

TEST_F(Mmproj, WhatIsInTheWayIsSaidBeforeTheWork) {
  write("mine.gguf", "precious");
  fs::create_hard_link(scratch_ / "model/model.safetensors", scratch_ / "weights");
  const std::string weights = contents("weights");
  for (const auto& [projector, code] : {std::pair{"mine.gguf", 5}, {"weights --force", 2}, {"o.gguf --force", 2}, {"no/p.gguf", 5}}) {
    const test::Outcome outcome = snug(fit_ + "-o o.gguf --mmproj " + projector);
    EXPECT_EQ(outcome.exit_code, code) << projector << outcome.err;
    EXPECT_NE(outcome.err.find("try:"), std::string::npos) << projector << outcome.err;
    EXPECT_FALSE(exists("s")) << projector;
  }
  EXPECT_EQ(contents("mine.gguf"), "precious");
  EXPECT_EQ(contents("weights"), weights);
  EXPECT_EQ(snug("fit model --size 1KB -q --state s -o o.gguf --mmproj p.gguf --mmproj-in-size").exit_code, 3);
}

TEST_F(Mmproj, AConversionKilledBetweenTheTwoGoesOn) {
  const std::string convert = "convert model -q -o c.gguf --mmproj p.gguf";
  ASSERT_EQ(snug(convert).exit_code, 0);
  const std::string model = contents("c.gguf"), projector = contents("p.gguf");
  EXPECT_EQ(snug(convert).exit_code, 5);  // what is finished is replaced by nobody
  fs::remove(scratch_ / "c.gguf");
  EXPECT_EQ(snug(convert).exit_code, 0);  // its own projector is not in its way
  for (int i = 0; i < 3; ++i) {
    for (const char* name : {"c.gguf", "p.gguf"}) fs::remove(scratch_ / name);
    interrupt(convert, [&] { return exists("c.gguf"); }, SIGKILL);
    if (exists("c.gguf.snug-begun") || !exists("p.gguf")) { EXPECT_EQ(snug(convert).exit_code, 0); }
    EXPECT_EQ(contents("c.gguf"), model);
    EXPECT_EQ(contents("p.gguf"), projector);
    EXPECT_FALSE(exists("c.gguf.snug-begun"));
  }
}

}  // namespace
}  // namespace snug
