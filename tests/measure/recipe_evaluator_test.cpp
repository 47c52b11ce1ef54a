#include "measure/recipe_evaluator.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <optional>
#include <random>
#include <utility>

#include "base/digest.hpp"
#include "base/events.hpp"
#include "base/files/atomic_file.hpp"
#include "base/files/read_file.hpp"
#include "base/memory.hpp"
#include "base/parallel.hpp"
#include "encode/encode_tensor.hpp"
#include "imatrix/hessian.hpp"
#include "measure/on_tiny_llama.hpp"
#include "support/scratch.hpp"

namespace snug {
namespace {

class JudgeOnTinyLlama : public test::OnTinyLlama<ProbeOptions> {
 protected:
  JudgeOnTinyLlama() {
    options.chunks = 4;
    tokens.resize(64);
  }

  RecipeEvaluator judge() {
    if (!model) model.emplace(open_model(scratch / "model.gguf"));
    return {*model, nullptr, Effort::normal, store, tokens, options};
  }
  std::vector<double> all(const TensorFormats& formats) { return judge().divergence(formats, 0, 4); }

  std::optional<infer::Model> model;
  Store store = Store::open(scratch / "state", Access::write);
  const TensorFormats mixed{{"blk.0.attn_q.weight", FormatId::q4_0},
                            {"blk.1.ffn_down.weight", FormatId::q4_0},
                            {"output.weight", FormatId::q8_0}};
};

TEST_F(JudgeOnTinyLlama, NothingEncodedIsNoDivergence) {
  for (const double kl : all({})) EXPECT_EQ(kl, 0);
}

TEST_F(JudgeOnTinyLlama, OneTensorIsItsProbe) {
  for (const char* name :
       {"token_embd.weight", "blk.0.attn_q.weight", "blk.1.ffn_down.weight", "output.weight"}) {
    SCOPED_TRACE(name);
    const std::vector<double> kl = all({{name, FormatId::q4_0}});
    const Encoded encoded =
        encode_tensor(*model->source().find(name), *find_format(FormatId::q4_0), nullptr);
    ReferenceRun base{*model, tokens, options};
    base.prepare(4);
    for (int64_t c = 0; c < 4; ++c)
      EXPECT_NEAR(kl[static_cast<size_t>(c)], base.divergence(encoded, first_block_of(*model, name), c),
                  1e-12);
  }
}

TEST_F(JudgeOnTinyLlama, WithoutATensorIsTheRecipeOfTheOthers) {
  for (const auto& [name, format] : mixed) {
    SCOPED_TRACE(name);
    TensorFormats others = mixed;
    others.erase(name);
    const std::vector<double> without = judge().divergence_without(mixed, name, 0, 4), rest = all(others);
    for (size_t c = 0; c < 4; ++c) {
      EXPECT_NEAR(without[c], rest[c], 1e-12);
      EXPECT_GT(without[c], 0);
    }
  }
}

TEST_F(JudgeOnTinyLlama, WhatTheStateKnowsIsNotRunAgain) {
  const std::vector<double> first = all(mixed);
  const int64_t records = store.count(RecordKind::evaluation);
  EXPECT_EQ(records, 4);
  EXPECT_EQ(all(mixed), first);
  EXPECT_EQ(store.count(RecordKind::evaluation), records);
  TensorFormats other = mixed;
  other["output.weight"] = FormatId::q4_0;
  EXPECT_NE(all(other), first);
  EXPECT_EQ(store.count(RecordKind::evaluation), 2 * records);
}

/// The model by itself, run over the judge's chunks: mean -ln p of the tokens that came, as a perplexity.
double perplexity_of(const infer::Model& model, const TextChunks& text) {
  double sum = 0;
  int64_t count = 0;
  for (int64_t c = 0; c < text.chunks(); ++c) {
    infer::Session session{model, {.context = text.context(), .batch = text.context()}};
    const infer::Activations logits = session.forward(text.tokens(c), text.first_scored());
    for (int64_t r = 0; r + 1 < text.scored(); ++r, ++count)
      sum += static_cast<double>(infer::score(logits.row(r), text.tokens(c)[static_cast<size_t>(text.first_scored() + r + 1)]).loss);
  }
  return std::exp(sum / static_cast<double>(count));
}

TEST_F(JudgeOnTinyLlama, TellsWhatElseItsRunsGave) {
  EXPECT_FALSE(judge().scores({}, 0, 4)) << "nothing was run";
  all({});
  const TextScores same = judge().scores({}, 0, 4).value();
  EXPECT_EQ(same.same_top, (Estimate{1, 0}));
  EXPECT_EQ(same.perplexity.value, same.original_perplexity);
  EXPECT_NEAR(same.original_perplexity, perplexity_of(*model, {*model, tokens, {4, 16, 1}}), 1e-9);
  all(mixed);
  const TextScores scores = judge().scores(mixed, 0, 4).value();
  EXPECT_EQ(scores.original_perplexity, same.original_perplexity);
  EXPECT_NE(scores.perplexity.value, scores.original_perplexity);
  EXPECT_LT(scores.same_top.value, 1);
}

TEST_F(JudgeOnTinyLlama, AStateOfAnEarlierVersionHasTheDivergenceAlone) {
  const std::vector<double> kl = all(mixed);
  Store earlier = Store::open(scratch / "earlier", Access::write);
  store.for_each([&](const Record& record) {
    if (record.kind != RecordKind::comparison) earlier.put(record.kind, record.key, record.payload);
  });
  store = std::move(earlier);
  EXPECT_EQ(all(mixed), kl);
  EXPECT_FALSE(judge().scores(mixed, 0, 4));
  EXPECT_EQ(store.count(RecordKind::evaluation), 4);
  EXPECT_EQ(store.count(RecordKind::comparison), 0);
}

TEST_F(JudgeOnTinyLlama, IsTheSameOnAnyThreadsAndInAnyOrder) {
  set_threads(1);
  const std::vector<double> one = all(mixed);
  store = Store::open(scratch / "other state", Access::write);
  set_threads(4);
  RecipeEvaluator late = judge();
  late.divergence_without(mixed, "output.weight", 1, 3);  // leaves another ground, other chunks
  EXPECT_EQ(late.divergence(mixed, 0, 4), one);
  set_threads(0);
}

/// Second moments of the input of blk.0.attn_q alone.
Hessians moments_of(const std::filesystem::path& path, unsigned seed) {
  constexpr size_t kDim = 64, kTokens = 3;
  std::mt19937 random{seed};
  std::normal_distribution<float> normal;
  Imatrix imatrix;
  std::vector<float> x(kDim), sums(kDim * kDim);
  for (size_t t = 0; t < kTokens; ++t) {
    for (float& each : x) each = normal(random);
    for (size_t i = 0; i < kDim; ++i)
      for (size_t j = 0; j < kDim; ++j) sums[i * kDim + j] += x[i] * x[j];
  }
  const std::string name = "blk.0.attn_q.weight";
  const std::vector<Hessian> moments{{.input = name, .tensors = {name}, .dim = kDim, .mats = 1, .counts = {kTokens}, .sums = sums}};
  write_imatrix(path, imatrix, moments, Existing::replace);
  return Hessians{path};
}

/// What is kept of one recipe for the next changes neither figures nor bytes.
TEST_F(JudgeOnTinyLlama, WhatWasEncodedForOneRecipeServesOthersOnlyWhereItIsTheSame) {
  const Hessians some = moments_of(scratch / "some.gguf", 1), other = moments_of(scratch / "other.gguf", 2);
  TensorFormats next = mixed;
  next["output.weight"] = FormatId::q4_0;
  const std::vector<const Hessians*> course{nullptr, &some, nullptr, &other, &some};
  int compared = 0;
  const auto figures_of = [&](RecipeEvaluator& judge, const Hessians* moments) {
    judge.set_moments(moments);
    std::vector<std::vector<double>> figures;
    for (const TensorFormats* formats : std::vector<const TensorFormats*>{&mixed, &next}) {
      figures.push_back(judge.divergence(*formats, 1, 3));
      for (const auto& [name, format] : *formats) {
        HessianFactors factors{moments ? *moments : some};
        const Encoded anew = encode_tensor(*model->source().find(name), *find_format(format), nullptr, Effort::normal,
                                           moments ? &factors : nullptr);
        const auto kept = judge.blocks_of(name, format);
        compared += !kept.empty();
        EXPECT_TRUE(kept.empty() || std::ranges::equal(kept, anew.data)) << name;
      }
    }
    return figures;
  };
  RecipeEvaluator one = judge();
  std::vector<std::vector<std::vector<double>>> all;
  for (const Hessians* moments : course) {
    all.push_back(figures_of(one, moments));
    Store fresh = Store::open(scratch / ("fresh " + std::to_string(all.size())), Access::write);
    RecipeEvaluator alone{*model, nullptr, Effort::normal, fresh, tokens, options};
    EXPECT_EQ(figures_of(alone, moments), all.back()) << all.size();
  }
  EXPECT_GE(compared, 54) << "of all but what the state knew";
  EXPECT_EQ(all[0], all[2]);
  EXPECT_NE(all[0], all[1]);
  EXPECT_NE(all[1], all[3]);
  EXPECT_EQ(all[1], all[4]);
}

TEST_F(JudgeOnTinyLlama, RunsOnlyTheChunksThatAreAskedFor) {
  const std::vector<double> every = all(mixed);
  store = Store::open(scratch / "part by part", Access::write);
  RecipeEvaluator parts = judge();
  const auto some = [&](int first, int last) { return std::vector<double>(every.begin() + first, every.begin() + last); };
  EXPECT_EQ(parts.divergence(mixed, 2, 4), some(2, 4));
  EXPECT_EQ(store.count(RecordKind::evaluation), 2);
  EXPECT_EQ(parts.divergence(mixed, 1, 3), some(1, 3));
  EXPECT_EQ(store.count(RecordKind::evaluation), 3);
  const Slopes slopes = parts.slopes(mixed, 0, 2);  // of a chunk that was not run yet
  EXPECT_EQ(parts.divergence(mixed, 0, 4), every);
  store = Store::open(scratch / "slopes", Access::write);
  EXPECT_EQ(judge().slopes(mixed, 0, 2), slopes);
}

/// Every tensor, among them those of the embeddings and the head, put back in turn in one sweep.
TEST_F(JudgeOnTinyLlama, ASweepGivesTheFiguresOfARunInMemory) {
  TensorFormats every = mixed;
  every["token_embd.weight"] = FormatId::q4_0;
  every["blk.0.ffn_up.weight"] = FormatId::q8_0;
  std::vector<std::string> names;
  for (const auto& [name, format] : every) names.push_back(name);
  const auto figures = [&] {
    std::vector<std::vector<double>> all{judge().divergence(every, 0, 4)};
    for (const std::string& name : names) all.push_back(judge().divergence_without(every, name, 1, 4));
    return all;
  };
  const auto in_memory = figures();
  const auto scores = judge().scores(every, 0, 4);
  const int64_t records = store.count(RecordKind::evaluation);
  for (const int threads : {1, 4}) {
    set_threads(threads);
    store = Store::open(scratch / ("swept " + std::to_string(threads)), Access::write);
    set_memory_limit(20000);
    judge().run_ahead(every, names, 1, 4);
    EXPECT_EQ(store.count(RecordKind::evaluation), 3 * 5);
    EXPECT_EQ(figures(), in_memory);
    EXPECT_EQ(judge().scores(every, 0, 4), scores);
    EXPECT_EQ(store.count(RecordKind::evaluation), records);
    set_memory_limit(0);
  }
  set_threads(0);
}

/// Stops the work once a sweep has gone through so many stages, and remembers what is said.
class StopsASweep : public Events {
 public:
  explicit StopsASweep(int64_t stages) : stages_(stages) {}
  void log(std::string_view line) override { lines += line; }
  void progress(const StageProgress& progress) override {
    if (progress.stage.starts_with("judging")) passed_ = progress.done - progress.known;
  }
  bool cancelled() const override { return passed_ >= stages_; }
  std::string lines;

 private:
  int64_t stages_;
  std::atomic<int64_t> passed_ = 0;
};

class StoppedSweep : public JudgeOnTinyLlama {
 protected:
  StoppedSweep() {
    judge();
    set_memory_limit(20000);
  }
  ~StoppedSweep() override { set_memory_limit(0); }

  std::vector<std::vector<ChunkComparison>> sweep(Events& events) {
    const EventScope scope{events};
    const TextChunks text{*model, tokens, {4, 16, 1}};
    const auto encode = [&](const Tensor& tensor, const Format& format) {
      ++encoded;
      return encode_tensor(tensor, format, nullptr);
    };
    return sweep_recipe(*model, text, mixed, encode, variants, saved, 0);
  }
  void stop_after(int64_t stages) {
    StopsASweep events{stages};
    EXPECT_THROW(sweep(events), Error);
  }

  const std::vector<RecipeVariant> variants{{"", nullptr, {0, 1, 2, 3}},
                                            {"blk.0.attn_q.weight", nullptr, {1, 2}},
                                            {"token_embd.weight", find_format(FormatId::q4_0), {0, 3}},
                                            {"output.weight", nullptr, {2}}};
  const infer::SavedSweep saved{scratch / "sweep", Hasher{}.add("key").finish()};
  int encoded = 0;
  Events nobody;
};

TEST_F(StoppedSweep, GoesOnFromTheBlockThatItHadComeTo) {
  const auto whole = sweep(nobody);
  EXPECT_FALSE(std::filesystem::exists(saved.path));
  const int all = std::exchange(encoded, 0);
  stop_after(2);  // the embeddings and block 0
  EXPECT_TRUE(std::filesystem::exists(saved.path));
  encoded = 0;
  StopsASweep again{100};
  EXPECT_EQ(sweep(again), whole);
  EXPECT_NE(again.lines.find("going on before block 1"), std::string::npos) << again.lines;
  EXPECT_LT(encoded, all);
  EXPECT_FALSE(std::filesystem::exists(saved.path));
}

TEST_F(StoppedSweep, BeginsAnewWhereWhatWasSavedIsDamagedOrOfAnother) {
  const auto whole = sweep(nobody);
  stop_after(2);
  std::string bytes = read_file(saved.path);
  bytes[bytes.size() - 40] ^= 1;
  write_file(saved.path, bytes, Existing::replace);
  StopsASweep damaged{100};
  EXPECT_EQ(sweep(damaged), whole);
  EXPECT_NE(damaged.lines.find("is damaged"), std::string::npos) << damaged.lines;
  {
    infer::Sweep other{*model, {.context = 16, .batch = 16}, 0};
    const size_t one = other.begin(tokens.size() > 16 ? std::span{tokens}.first(16) : std::span{tokens});
    other.step(one);
    infer::SavedSweep{saved.path, Digest{}}.save(other, {&one, 1}, 1);
  }
  StopsASweep foreign{100};
  EXPECT_EQ(sweep(foreign), whole);
  EXPECT_NE(foreign.lines.find("starting anew"), std::string::npos) << foreign.lines;
}

TEST(PairedDifference, KnowsThatChunksGoTogether) {
  const std::vector<double> a{1.1, 2.1, 3.1, 4.1}, b{1, 2, 3, 4};
  EXPECT_NEAR(paired_difference(a, b).value, 0.1, 1e-12);
  EXPECT_NEAR(paired_difference(a, b).error, 0, 1e-9);  // though either mean has an error of 0.6
  EXPECT_GT(mean_of(a).error, 0.5);
}

}  // namespace
}  // namespace snug
