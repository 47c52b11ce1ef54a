#include "measure/probe.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/memory.hpp"
#include "base/parallel.hpp"
#include "encode/encode_tensor.hpp"
#include "eval/divergence.hpp"
#include "infer/session.hpp"
#include "measure/on_tiny_llama.hpp"
#include "measure/probe_record.hpp"
#include "snug/error.hpp"
#include "support/scratch.hpp"
#include "support/tiny_model.hpp"

namespace snug {
namespace {

using test::random_tokens;

void expect_same(const ProbeResults& a, const ProbeResults& b) {
  EXPECT_EQ(a.digest, b.digest);
  ASSERT_EQ(a.tensors.size(), b.tensors.size());
  for (const auto& [name, probe] : a.tensors) {
    SCOPED_TRACE(name);
    const Probe& other = b.tensors.at(name);
    EXPECT_EQ(probe.alpha, other.alpha);
    EXPECT_EQ(probe.standard_error, other.standard_error);
    EXPECT_EQ(probe.chunks, other.chunks);
  }
}

class ProbeOnTinyLlama : public test::OnTinyLlama<ProbeOptions> {
 protected:
  ProbeOnTinyLlama() {
    options.chunks = 6;
    options.first_chunks = 2;
  }

  ProbeResults run(const std::string& state) {
    return with_state(state, [&](const infer::Model& model, Store& store) {
      return probe(model, nullptr, store, tokens, options);
    });
  }

  /// The plain way: both models run from the first token to the last, chunk by chunk.
  double kl_by_hand(const infer::Model& model, const Encoded& encoded, int64_t chunks) const {
    double sum = 0;
    const int64_t first = options.context / 8;
    for (int64_t c = 0; c < chunks; ++c) {
      std::vector<int32_t> chunk(tokens.begin() + c * options.context,
                                 tokens.begin() + (c + 1) * options.context);
      chunk.front() = 1;
      infer::Session original{model, {}}, changed{model, {}};
      changed.replace(encoded.tensor, *encoded.format, encoded.data);
      const infer::Activations p = original.forward(chunk, first), q = changed.forward(chunk, first);
      for (int64_t r = 0; r < p.count(); ++r) {
        const infer::BaseRow base{p.row(r), infer::log_sum_exp(p.row(r)),
                                  -std::numeric_limits<double>::infinity()};
        sum += static_cast<double>(infer::compare(base, q.row(r), 0).divergence);
      }
    }
    return sum / static_cast<double>(chunks * (options.context - first));
  }
};

TEST_F(ProbeOnTinyLlama, AlphaIsTheDivergenceOverTheErrorOfTheOneTensorEncoded) {
  const ProbeResults results = run("state");
  const infer::Model model{open_model(scratch / "model.gguf")};
  EXPECT_EQ(results.tensors.size(), 16u);
  for (const auto& [name, probe] : results.tensors) {
    SCOPED_TRACE(name);
    const Encoded encoded =
        encode_tensor(*model.source().find(name), *find_format(probe.format), nullptr);
    EXPECT_EQ(probe.rho, encoded.rho);
    EXPECT_NEAR(probe.kl, kl_by_hand(model, encoded, probe.chunks), 1e-9);
    EXPECT_DOUBLE_EQ(probe.alpha, probe.kl / probe.rho);
    EXPECT_GT(probe.kl, 0);
    EXPECT_GT(probe.standard_error, 0);
  }
  EXPECT_EQ(results.tensors.at("blk.0.ffn_down.weight").format, FormatId::q4_0);  // 96 is no multiple of 64
  EXPECT_EQ(results.tensors.at("blk.0.ffn_up.weight").format, FormatId::q2_0);
}

TEST_F(ProbeOnTinyLlama, IsTheSameOnAnyNumberOfThreads) {
  set_threads(1);
  const ProbeResults one = run("one");
  const Digest kept = contents;
  set_threads(4);
  expect_same(run("four"), one);
  EXPECT_EQ(contents, kept);
  set_threads(0);
}

TEST_F(ProbeOnTinyLlama, TheSecondRunMeasuresNothing) {
  const ProbeResults first = run("state");
  EXPECT_GT(first.measured, 0);
  EXPECT_GT(first.forward_passes, 0);
  const ProbeResults second = run("state");
  EXPECT_EQ(second.measured, 0);
  EXPECT_EQ(second.reused, first.measured);
  EXPECT_EQ(second.forward_passes, 0);
  expect_same(second, first);
}

TEST_F(ProbeOnTinyLlama, WhatIsKnownSpeedsUpWithoutChangingTheResult) {
  const ProbeResults whole = run("whole");
  options.chunks = 3;
  const int64_t few = run("resumed").measured;
  options.chunks = 6;
  const ProbeResults resumed = run("resumed");
  expect_same(resumed, whole);
  EXPECT_GT(resumed.reused, 0);
  EXPECT_LE(resumed.reused, few);
}

TEST_F(ProbeOnTinyLlama, ShardsTogetherAreTheFirstRoundOfAWholeRun) {
  const ProbeResults whole = run("whole");
  int64_t measured = 0;
  size_t tensors = 0;
  options.shards = 3;
  for (options.shard = 0; options.shard < 3; ++options.shard) {
    const ProbeResults part = run("parts");
    measured += part.measured;
    tensors += part.tensors.size();
    EXPECT_LE(part.tensors.size(), 6u);
  }
  EXPECT_EQ(tensors, whole.tensors.size());
  EXPECT_EQ(measured, static_cast<int64_t>(tensors) * options.first_chunks);
  options.shard = 0;
  options.shards = 1;
  const ProbeResults joined = run("parts");
  expect_same(joined, whole);
  EXPECT_EQ(joined.reused, measured);
}

TEST_F(ProbeOnTinyLlama, WithoutMemoryForTheOriginalsRunTheResultIsTheSame) {
  const ProbeResults kept = run("kept");
  options.memory_bytes = 0;
  expect_same(run("computed again"), kept);
}

/// All tensors in one sweep for each round.
TEST_F(ProbeOnTinyLlama, AModelThatDoesNotFitIntoMemoryGivesTheSameRecords) {
  const ProbeResults in_memory = run("in memory");
  const Digest records = contents;
  set_memory_limit(20000);
  const ProbeResults swept = run("swept");
  set_memory_limit(0);
  expect_same(in_memory, swept);
  EXPECT_EQ(contents, records);
  EXPECT_EQ(swept.measured, in_memory.measured);
  EXPECT_EQ(swept.reused, 0);
}

TEST_F(ProbeOnTinyLlama, AnotherTextOrModelOrFirstTokenIsAnotherProbe) {
  run("state");
  options.bos = 2;
  EXPECT_EQ(run("state").reused, 0);
  options.bos = 1;
  tokens = random_tokens(100, 40, 8);
  EXPECT_EQ(run("state").reused, 0);
  test::write_tiny_llama({.seed = 2}, scratch / "model.gguf");
  EXPECT_EQ(run("state").reused, 0);
}

TEST_F(ProbeOnTinyLlama, MoreChunksGoWhereTheyAreNeeded) {
  options.precision = 1e6;
  for (const auto& [name, probe] : run("loose").tensors) EXPECT_EQ(probe.chunks, 2) << name;
  options.precision = 1e-6;
  for (const auto& [name, probe] : run("strict").tensors) EXPECT_EQ(probe.chunks, 6) << name;
}

TEST_F(ProbeOnTinyLlama, RefusesATextThatIsTooShortOrOfAnotherVocabulary) {
  tokens.resize(31);
  EXPECT_THROW(run("state"), Error);
  tokens = random_tokens(100, 40, 7);
  tokens[5] = 40;
  EXPECT_THROW(run("state"), Error);
}

TEST_F(ProbeOnTinyLlama, ProbesReplaceAlphasAndTheOthersAreScaled) {
  Profile profile;
  const auto add = [&](const std::string& name, double prior) {
    ProfiledTensor tensor;
    tensor.name = name;
    tensor.alpha = prior;
    tensor.alpha_from = "prior";
    tensor.candidates = {{FormatId::q2_K, 10, 0.5, 0.01, 1}, {FormatId::f16, 100, 0, 0, 0}};
    profile.tensors.push_back(tensor);
  };
  add("a", 1);
  add("b", 2);
  add("c", 3);
  add("unknown", 5);
  add("never reached", 1);
  ProbeResults probes;
  probes.tensors["a"].alpha = 4;   // 4 times the prior
  probes.tensors["b"].alpha = 4;   // 2 times
  probes.tensors["c"].alpha = 30;  // 10 times
  probes.tensors["never reached"].alpha = 0;
  apply_probes(profile, probes);
  EXPECT_EQ(profile.tensors[0].alpha, 4);
  EXPECT_EQ(profile.tensors[0].alpha_from, "probe");
  EXPECT_EQ(profile.tensors[0].candidates[0].loss, 2'000'000'000'000);
  EXPECT_EQ(profile.tensors[0].candidates[1].loss, 0);
  EXPECT_EQ(profile.tensors[3].alpha, 20);
  EXPECT_EQ(profile.tensors[3].alpha_from, "prior");
  EXPECT_EQ(profile.tensors[3].candidates[0].loss, 10'000'000'000'000);
  EXPECT_GT(profile.tensors[4].alpha, 0);
}

TEST(Probe, FindsThatTheTiedEmbeddingsMatterMostInATrainedModel) {
  const test::Scratch scratch;
  const infer::Model model{open_model(test::tiny_model())};
  const Importance importance = Importance::load(test::tiny_imatrix());
  Store store = Store::open(scratch / "state", Access::write);
  ProbeOptions options;
  options.context = 32;
  options.chunks = 3;
  options.first_chunks = 3;
  const ProbeResults results = probe(model, &importance, store, random_tokens(100, 4096, 3), options);
  EXPECT_EQ(results.tensors.size(), 15u);
  const double most = results.tensors.at("token_embd.weight").kl;
  for (const auto& [name, probe] : results.tensors) {
    EXPECT_EQ(probe.format, FormatId::iq3_xxs) << name;
    EXPECT_GT(probe.kl, 0) << name;
    if (name != "token_embd.weight") {
      EXPECT_LT(probe.kl, most) << name;
    }
  }
}

TEST(ProbeRecord, ComesBackAndRefusesWhatIsMalformed) {
  const ProbeRecord record{"blk.0.attn_q.weight", FormatId::iq3_xxs, 224, 0.25, 0.03125};
  const std::vector<std::byte> payload = to_payload(record);
  const ProbeRecord back = parse_probe(payload);
  EXPECT_EQ(back.tensor, record.tensor);
  EXPECT_EQ(back.format, record.format);
  EXPECT_EQ(back.tokens, record.tokens);
  EXPECT_EQ(back.kl, record.kl);
  EXPECT_EQ(back.rho, record.rho);
  for (size_t bytes = 0; bytes < 32; ++bytes)
    EXPECT_THROW(parse_probe(std::span{payload}.first(bytes)), Error);
  EXPECT_THROW(parse_probe(to_payload({"t", FormatId::q2_0, 0, 0.1, 0.1})), Error);
  EXPECT_THROW(parse_probe(to_payload({"t", FormatId::q2_0, 1, std::nan(""), 0.1})), Error);
  EXPECT_THROW(parse_probe(to_payload({"t", FormatId::q2_0, 1, 0.1, -1})), Error);
}

}  // namespace
}  // namespace snug
