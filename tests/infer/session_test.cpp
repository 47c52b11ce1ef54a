#include "infer/session.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <numeric>

#include "base/events.hpp"
#include "infer/kernels/kernels.hpp"
#include "infer/tiny_llama.hpp"
#include "snug/error.hpp"
#include "support/scratch.hpp"

namespace snug::infer {
namespace {

using test::TinyLlama;

class SessionOnTinyLlama : public testing::Test {
 protected:
  Model make(const TinyLlama& model) {
    write_tiny_llama(model, scratch / "model.gguf");
    return Model{open_model(scratch / "model.gguf")};
  }
  std::string refusal(const TinyLlama& model) {
    try {
      make(model);
    } catch (const Error& e) {
      return e.what();
    }
    return "accepted";
  }

  test::Scratch scratch;
  const std::vector<int32_t> tokens{1, 5, 9, 2, 30, 39, 0, 7, 7, 12};
};

bool same(const Activations& a, const Activations& b) {
  return std::ranges::equal(a.values(), b.values());
}

TEST_F(SessionOnTinyLlama, TokensOneByOneGiveTheSameLogitsAsTogether) {
  const Model model = make({});
  const Activations together = Session{model, {}}.forward(tokens);
  Session session{model, {}};
  for (size_t t = 0; t < tokens.size(); ++t) {
    const Activations one = session.forward(std::span{tokens}.subspan(t, 1));
    EXPECT_TRUE(std::ranges::equal(one.row(0), together.row(static_cast<int64_t>(t))));
  }
  EXPECT_EQ(session.position(), 10);
}

TEST_F(SessionOnTinyLlama, SessionsOfOtherModelsOrWithHooksDoNotGoTogether) {
  const Model model = make({}), other{open_model(scratch / "model.gguf")};
  Session a{model, {}}, b{model, {}}, stranger{other, {}}, fast{model, {.compute = Compute::fast}};
  const std::vector<int32_t> two{1, 5};
  EXPECT_EQ(Session::forward_each(std::vector{&a, &b}, two).count(), 2);
  for (Session* second : {&stranger, &fast})
    EXPECT_THROW(Session::forward_each(std::vector{&a, second}, two), Error);
  EXPECT_THROW(Session::forward_each(std::vector{&a}, two), Error);
  EXPECT_THROW(Session::forward_each(std::vector{&a, &b}, std::vector<int32_t>{1, 40}), Error);
  b.hooks.on_boundary = [](int, int64_t, Matrix<const float>) {};
  EXPECT_THROW(Session::forward_each(std::vector{&a, &b}, two), Error);
  EXPECT_EQ(a.position(), 1) << "a refusal changes nothing";
}

/// Sums are added in another order; with vocabulary 40 one matrix stays as it is in the file.
TEST_F(SessionOnTinyLlama, ARepackedModelComputesTheSame) {
  for (const int64_t vocabulary : {40, 48})
    for (const FormatId id :
         {FormatId::q8_0, FormatId::q4_0, FormatId::iq4_nl, FormatId::mxfp4, FormatId::f16}) {
      SCOPED_TRACE(::testing::Message() << format_name(id) << ", vocabulary " << vocabulary);
      Model model = make({.format = id, .vocabulary = vocabulary});
      const Activations exact = Session{model, {}}.forward(tokens),
                 fast = Session{model, {.compute = Compute::fast}}.forward(tokens);
      int64_t made = 0;
      model.repack([&](int64_t bytes) { made += bytes; });
      EXPECT_EQ(made, model.repacked_bytes());
      EXPECT_EQ(made > 0, packed_kernels().find_repacked(id) != nullptr);
      EXPECT_TRUE(model.find("token_embd.weight")->repacked.empty()) << "is only looked up";
      EXPECT_TRUE(same(Session{model, {}}.forward(tokens), exact));
      const Activations again = Session{model, {.compute = Compute::fast}}.forward(tokens);
      for (size_t k = 0; k < fast.values().size(); ++k)
        EXPECT_NEAR(again.values()[k], fast.values()[k], 1e-2f) << k;  // a rounding of activations may flip

      // What stands in for a weight is not repacked, nor hidden by what is.
      const Weight& weight = *model.find("blk.1.ffn_down.weight");
      const std::vector<std::byte> zeros(static_cast<size_t>(weight.bytes()));
      Session replaced{model, {.compute = Compute::fast}}, undone{model, {.compute = Compute::fast}};
      replaced.replace(weight.name, *weight.format, zeros);
      EXPECT_FALSE(same(replaced.forward(tokens), again));
      undone.replace(weight.name, *weight.format, zeros);
      undone.restore(weight.name);
      EXPECT_TRUE(same(undone.forward(tokens), again));
    }
}

TEST_F(SessionOnTinyLlama, ResetForgetsEverything) {
  const Model model = make({});
  Session session{model, {}};
  const Activations first = session.forward(tokens);
  session.reset();
  EXPECT_TRUE(same(session.forward(tokens), first));
}

TEST_F(SessionOnTinyLlama, OnlyWantedRowsAreComputed) {
  const Model model = make({});
  const Activations all = Session{model, {}}.forward(tokens);
  const Activations last = Session{model, {}}.forward(tokens, 9);
  EXPECT_EQ(last.count(), 1);
  EXPECT_TRUE(std::ranges::equal(last.row(0), all.row(9)));
  EXPECT_EQ((Session{model, {}}.forward(tokens, 10).count()), 0);
}

TEST_F(SessionOnTinyLlama, AHalfPrecisionCacheIsClose) {
  const Model model = make({});
  const Activations exact = Session{model, {}}.forward(tokens);
  for (const FormatId cache : {FormatId::f16}) {
    const Activations rounded = Session{model, {.cache = cache}}.forward(tokens);
    double error = 0, energy = 0;
    for (size_t i = 0; i < exact.values().size(); ++i) {
      error += std::pow(rounded.values()[i] - exact.values()[i], 2);
      energy += std::pow(exact.values()[i], 2);
    }
    EXPECT_GT(error, 0);
    EXPECT_LT(error, (cache == FormatId::f16 ? 1e-5 : 1e-3) * energy) << format_name(cache);
  }
}

TEST_F(SessionOnTinyLlama, MemoryIsWhatTheContextNeeds) {
  const Model model = make({});
  const Session session{model, {.context = 100}};
  EXPECT_EQ(session.memory_bytes(), 2 * 100 * (32 + 32) * 4);
}

TEST_F(SessionOnTinyLlama, ObserverSeesTheInputOfEveryMatrix) {
  const Model model = make({});
  Session session{model, {}};
  std::vector<std::string> seen;
  double norm_energy = 0;
  session.hooks.on_linear = [&](const Weight& weight, int64_t matrix, Matrix<const float> in) {
    EXPECT_EQ(in.cols, weight.cols);
    EXPECT_EQ(in.rows, 10);
    EXPECT_EQ(matrix, 0);
    seen.push_back(weight.name);
    if (weight.name == "blk.0.attn_q.weight")
      norm_energy = std::inner_product(in.data, in.data + in.cols, in.data, 0.0);
  };
  session.forward(tokens);
  std::ranges::sort(seen);
  std::vector<std::string> expected;
  for (const auto& [name, weight] : model.weights())
    if (name != "token_embd.weight") expected.push_back(name);
  EXPECT_EQ(seen, expected);
  EXPECT_NEAR(norm_energy, 64, 25);  // an RMS-normalised row times weights near 1
}

TEST_F(SessionOnTinyLlama, ReplacedWeightsActLikeAModelThatHasThem) {
  const Model model = make({});
  const Format& half = *find_format(FormatId::bf16);
  const Weight& weight = *model.find("blk.1.ffn_up.weight");
  std::vector<float> values(static_cast<size_t>(weight.cols * weight.rows));
  dequantize(*weight.format, weight.data, {values.data(), weight.rows, weight.cols});
  std::vector<std::byte> packed(static_cast<size_t>(weight.rows * half.row_bytes(weight.cols)));
  quantize(half, {values.data(), weight.rows, weight.cols}, {}, Effort::normal, packed);

  Session session{model, {}};
  const Activations before = session.forward(tokens);
  session.reset();
  session.replace(weight.name, half, packed);
  const Activations changed = session.forward(tokens);
  EXPECT_FALSE(same(changed, before));
  session.reset();
  session.restore(weight.name);
  EXPECT_TRUE(same(session.forward(tokens), before));

  // The same values as f32 give the same bits as the packed ones.
  dequantize(half, packed, {values.data(), weight.rows, weight.cols});
  session.reset();
  session.replace(weight.name, *find_format(FormatId::f32), std::as_bytes(std::span{values}));
  EXPECT_TRUE(same(session.forward(tokens), changed));
  EXPECT_THROW(session.replace("blk.1.nothing.weight", half, packed), Error);
  EXPECT_THROW(session.replace(weight.name, half, std::span{packed}.first(10)), Error);
}

TEST_F(SessionOnTinyLlama, BadTokensAndFullContextsAreRefusedWithoutHarm) {
  const Model model = make({});
  Session session{model, {.context = 12}};
  const Activations first = session.forward(tokens);
  EXPECT_THROW(session.forward(std::vector<int32_t>{40}), Error);
  EXPECT_THROW(session.forward(std::vector<int32_t>{-1}), Error);
  EXPECT_THROW(session.forward(std::vector<int32_t>{1, 2, 3}), Error);
  EXPECT_EQ(session.position(), 10);
  EXPECT_EQ(session.forward(std::vector<int32_t>{}).count(), 0);
  EXPECT_EQ(session.forward(std::vector<int32_t>{1, 2}).count(), 2);
}

TEST_F(SessionOnTinyLlama, PackedMatricesRun) {
  for (const FormatId format : {FormatId::f16, FormatId::bf16}) {
    const Model model = make({.format = format});
    const Activations logits = Session{model, {}}.forward(tokens);
    EXPECT_TRUE(std::ranges::all_of(logits.values(), [](float v) { return std::isfinite(v); }));
  }
}

TEST_F(SessionOnTinyLlama, AnUnknownArchitectureNamesThoseKnown) {
  const std::string message = refusal({.architecture = "mamba7"});
  EXPECT_NE(message.find("mamba7"), std::string::npos) << message;
  for (const std::string_view name : known_architectures())
    EXPECT_NE(message.find(name), std::string::npos) << message;
}

TEST_F(SessionOnTinyLlama, MissingStrangeAndMisshapenTensorsAreNamed) {
  EXPECT_NE(refusal({.without = {"blk.1.ffn_up.weight"}}).find("'blk.1.ffn_up.weight' is missing"),
            std::string::npos);
  EXPECT_NE(refusal({.without = {"token_embd.weight"}}).find("token_embd.weight"), std::string::npos);
  EXPECT_EQ(refusal({.without = {"output.weight"}}), "accepted");  // tied
  EXPECT_NE(refusal({.architecture = "qwen3"}).find("attn_q_norm"), std::string::npos);
  EXPECT_NE(refusal({.more_keys = {{"llama.attention.key_length", MetadataValue{uint32_t{32}}}}}).find("shape"),
            std::string::npos);
}

TEST_F(SessionOnTinyLlama, SenselessKeysAreRefused) {
  const auto with = [&](const std::string& key, MetadataValue value) {
    return refusal({.more_keys = {{key, value}}});
  };
  EXPECT_NE(with("llama.rope.scaling.type", std::string_view{"magic"}).find("magic"), std::string::npos);
  EXPECT_NE(with("llama.expert_used_count", uint32_t{3}).find("expert_used_count"), std::string::npos);
  EXPECT_NE(with("llama.rope.dimension_count", uint32_t{7}).find("even"), std::string::npos);
  EXPECT_NE(with("llama.nextn_predict_layers", uint32_t{2}).find("nextn"), std::string::npos);
  EXPECT_NE(with("llama.rope.scaling.factor", std::nanf("")).find("rope.scaling.factor"), std::string::npos);
  const std::string texts =
      refusal({.more_keys = {{"llama.rope.dimension_sections", std::vector<std::string>{"a", "b"}}}});
  EXPECT_NE(texts.find("llama.rope.dimension_sections"), std::string::npos) << texts;
  EXPECT_NE(texts.find("model.gguf"), std::string::npos) << texts;
}

struct CancelledByHand : Events {
  bool stop = false;
  bool cancelled() const override { return stop; }
};

/// A layer of a large model takes seconds: cancelling ends a run before the next one, not behind the last.
TEST_F(SessionOnTinyLlama, CancellingEndsARunBetweenTwoLayers) {
  const Model model = make({});
  CancelledByHand events;
  const EventScope scope{events};
  Session session{model, {}};
  int last = -1;
  session.hooks.on_boundary = [&](int layer, int64_t, Matrix<const float>) {
    last = layer;
    if (layer == 0) events.stop = true;
  };
  try {
    session.forward(tokens);
    FAIL() << "it went on";
  } catch (const Error& error) {
    EXPECT_EQ(error.fault(), Fault::interrupted);
  }
  EXPECT_EQ(last, 0);
}

}  // namespace
}  // namespace snug::infer
