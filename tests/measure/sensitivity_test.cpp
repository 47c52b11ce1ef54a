#include "measure/sensitivity/sensitivity.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>

#include "base/files/read_file.hpp"
#include "base/memory.hpp"
#include "base/parallel.hpp"
#include "encode/encode_tensor.hpp"
#include "measure/on_tiny_llama.hpp"
#include "measure/reference_run.hpp"
#include "measure/sensitivity/sensitivity_record.hpp"
#include "snug/error.hpp"
#include "support/scratch.hpp"
#include "support/tiny_model.hpp"

namespace snug {
namespace {

using test::random_tokens;

void expect_same(const SensitivityResults& a, const SensitivityResults& b) {
  EXPECT_EQ(a.digest, b.digest);
  ASSERT_EQ(a.tensors.size(), b.tensors.size());
  for (const auto& [name, of] : a.tensors)
    for (const auto& [format, found] : of.formats) {
      const Sensitivity& other = b.tensors.at(name).formats.at(format);
      EXPECT_EQ(found.loss, other.loss) << name;
      EXPECT_EQ(found.standard_error, other.standard_error) << name;
    }
}

class SensitivityOfTinyLlama : public test::OnTinyLlama<SensitivityOptions> {
 protected:
  SensitivityOfTinyLlama() { options.chunks = 5; }

  SensitivityResults run(const std::string& state) {
    return with_state(state, [&](const infer::Model& model, Store& store) {
      return sensitivities(model, nullptr, store, tokens, options);
    });
  }
};

TEST_F(SensitivityOfTinyLlama, AModelThatDoesNotFitIntoMemoryGivesTheSameRecords) {
  options.formats = "q8_0,q4_0";
  const SensitivityResults in_memory = run("in memory");
  const Digest records = contents;
  set_memory_limit(20000);
  const SensitivityResults swept = run("swept");
  set_memory_limit(0);
  expect_same(in_memory, swept);
  EXPECT_EQ(contents, records);
}

/// Many draws over few tokens against the divergence itself, where errors are small enough for the quadratic form.
TEST_F(SensitivityOfTinyLlama, IsTheDivergenceThatATensorCausesByItself) {
  options.draws = 200;
  options.formats = "q8_0,q5_1,q4_0";
  const SensitivityResults results = run("state");
  const infer::Model model{open_model(scratch / "model.gguf")};
  ReferenceRun base{model, tokens, {.chunks = options.chunks, .context = 16, .bos = 1}};
  base.prepare(base.chunks());
  EXPECT_EQ(results.tensors.size(), 16u);
  EXPECT_TRUE(results.beyond.empty());
  double sum_of_logs = 0, count = 0;
  for (const auto& [name, of] : results.tensors)
    for (const auto& [format, found] : of.formats) {
      const Encoded encoded = encode_tensor(*model.source().find(name), *find_format(format), nullptr);
      double kl = 0;
      for (int64_t c = 0; c < base.chunks(); ++c)
        kl += base.divergence(encoded, first_block_of(model, name), c) / static_cast<double>(base.chunks());
      const double ratio = found.loss / kl;
      // By rows: what rows do in step is left out but for q, k and v.
      EXPECT_GT(ratio, 0.6) << name << " " << format_name(format);
      EXPECT_LT(ratio, 1.6) << name << " " << format_name(format);
      sum_of_logs += std::log(ratio);
      ++count;
    }
  EXPECT_NEAR(sum_of_logs / count, 0, 0.05);
}

TEST_F(SensitivityOfTinyLlama, IsTheSameOnAnyNumberOfThreads) {
  set_threads(1);
  const SensitivityResults one = run("one");
  const Digest kept = contents;
  set_threads(4);
  expect_same(run("four"), one);
  EXPECT_EQ(contents, kept);
  set_threads(0);
}

TEST_F(SensitivityOfTinyLlama, TheSecondRunMeasuresNothing) {
  const SensitivityResults first = run("state");
  EXPECT_GT(first.measured, 0);
  const SensitivityResults second = run("state");
  EXPECT_EQ(second.measured, 0);
  EXPECT_EQ(second.reused, first.measured);
  expect_same(second, first);
}

TEST_F(SensitivityOfTinyLlama, ShardsTogetherAreAWholeRun) {
  const SensitivityResults whole = run("whole");
  const Digest kept = contents;
  options.shards = 2;
  for (options.shard = 0; options.shard < 2; ++options.shard) EXPECT_GT(run("parts").measured, 0);
  EXPECT_EQ(contents, kept);
  options.shard = 0;
  options.shards = 1;
  const SensitivityResults joined = run("parts");
  EXPECT_EQ(joined.measured, 0);
  expect_same(joined, whole);
}

TEST_F(SensitivityOfTinyLlama, WhatOneFormatMoreNeedsIsMeasuredWithoutTouchingTheOthers) {
  const SensitivityResults whole = run("whole");
  options.formats = "q4_0,q8_0";
  run("grown");
  options.formats = "";
  expect_same(run("grown"), whole);
}

TEST_F(SensitivityOfTinyLlama, RecordsThatSayOtherThanTheirKeyAreMeasuredAnew) {
  const SensitivityResults whole = run("state");
  {
    Store store = Store::open(scratch / "state", Access::write);
    std::vector<std::pair<Digest, SensitivityRecord>> changed;
    store.for_each([&](const Record& record) { changed.emplace_back(record.key, parse_sensitivity(record.payload)); });
    changed[0].second.tensor += "x";
    changed[1].second.draws += 1;
    changed[2].second.format = FormatId::f32;
    for (size_t i = 0; i < 3; ++i) store.put(RecordKind::sensitivity, changed[i].first, to_payload(changed[i].second));
  }
  const SensitivityResults again = run("state");
  EXPECT_GT(again.measured, 0);
  expect_same(again, whole);
}

/// Other chunks are known of tensors that a format does not fit than of the rest.
TEST_F(SensitivityOfTinyLlama, CountsWhatItMeasuredAndNoMore) {
  options.chunks = 3;
  options.formats = "q4_0";
  const SensitivityResults first = run("state");
  options.chunks = 5;
  options.formats = "q4_0,q2_0";  // q2_0 does not fit rows of 96
  const SensitivityResults second = run("state");
  int64_t all = 0;
  for (const auto& [name, of] : second.tensors) all += 5 * static_cast<int64_t>(of.formats.size());
  EXPECT_GT(second.reused, 0);
  EXPECT_LT(second.reused, first.measured);
  EXPECT_EQ(second.measured + second.reused, all);
}

/// The last token's embedding is infinite: what comes before it is sound, and so is the head's first row.
TEST_F(SensitivityOfTinyLlama, AModelWithoutSoundGradientsLeavesNoRecord) {
  {
    const infer::Model model{open_model(scratch / "model.gguf")};
    const auto row = model.source().find("token_embd.weight")->row(39);
    std::string file = read_file(scratch / "model.gguf");
    const std::string floats(reinterpret_cast<const char*>(row.data()), row.size());
    const size_t at = file.find(floats);
    ASSERT_NE(at, file.npos);
    const float infinite = INFINITY;
    std::memcpy(file.data() + at, &infinite, sizeof infinite);
    std::ofstream{scratch / "broken.gguf", std::ios::binary} << file;
  }
  std::filesystem::rename(scratch / "broken.gguf", scratch / "model.gguf");
  for (int32_t& token : tokens) token %= 39;
  tokens[15] = 39;
  EXPECT_THROW(run("state"), Error);
  EXPECT_EQ(Store::open(scratch / "state", Access::write).count(RecordKind::sensitivity), 0);
}

TEST_F(SensitivityOfTinyLlama, WithoutMemoryForHiddenStatesTheResultIsTheSame) {
  const SensitivityResults kept = run("kept");
  options.memory_bytes = 0;
  expect_same(run("computed again"), kept);
}

TEST_F(SensitivityOfTinyLlama, AnotherTextOrModelOrNumberOfDrawsIsMeasuredAnew) {
  run("state");
  options.bos = 2;
  EXPECT_EQ(run("state").reused, 0);
  options.draws = 3;
  EXPECT_EQ(run("state").reused, 0);
  test::write_tiny_llama({.seed = 2}, scratch / "model.gguf");
  EXPECT_EQ(run("state").reused, 0);
}

TEST_F(SensitivityOfTinyLlama, RefusesATextThatIsTooShortOrOfAnotherVocabulary) {
  tokens.resize(31);
  EXPECT_THROW(run("state"), Error);
  tokens = random_tokens(100, 40, 7);
  tokens[5] = 40;
  EXPECT_THROW(run("state"), Error);
}

TEST(Sensitivity, OrdersTheTensorsOfATrainedModelAsTheirDivergencesDo) {
  const test::Scratch scratch;
  const infer::Model model{open_model(test::tiny_model())};
  const Importance importance = Importance::load(test::tiny_imatrix());
  Store store = Store::open(scratch / "state", Access::write);
  const std::vector<int32_t> tokens = random_tokens(200, 4096, 3);
  SensitivityOptions options;
  options.chunks = 4;
  options.context = 48;
  options.formats = "iq3_xxs";
  const SensitivityResults results = sensitivities(model, &importance, store, tokens, options);
  ASSERT_EQ(results.tensors.size(), 15u);
  ReferenceRun base{model, tokens, {.chunks = 4, .context = 48, .bos = {}}};
  base.prepare(4);
  int off = 0;
  for (const auto& [name, of] : results.tensors) {
    const Format& format = *find_format(FormatId::iq3_xxs);
    const Encoded encoded = encode_tensor(*model.source().find(name), format, importance.find(name));
    double kl = 0;
    for (int64_t c = 0; c < 4; ++c) kl += base.divergence(encoded, first_block_of(model, name), c) / 4;
    off += std::abs(std::log(of.formats.at(format.id).loss / kl)) > std::log(1.5);
  }
  EXPECT_LE(off, 3);
}

TEST(SensitivityRecord, ComesBackAndRefusesWhatIsMalformed) {
  const SensitivityRecord record{"blk.0.attn_q.weight", FormatId::iq3_xxs, 224, 2, 0.25, 0.5, 0.75};
  const std::vector<std::byte> payload = to_payload(record);
  const SensitivityRecord back = parse_sensitivity(payload);
  EXPECT_EQ(back.tensor, record.tensor);
  EXPECT_EQ(back.format, record.format);
  EXPECT_EQ(back.tokens, record.tokens);
  EXPECT_EQ(back.draws, record.draws);
  EXPECT_EQ(back.sum, record.sum);
  EXPECT_EQ(back.covered, record.covered);
  EXPECT_EQ(back.all, record.all);
  for (size_t bytes = 0; bytes < 48; ++bytes)
    EXPECT_THROW(parse_sensitivity(std::span{payload}.first(bytes)), Error);
  EXPECT_THROW(parse_sensitivity(to_payload({"t", FormatId::q2_0, 0, 2, 0.1, 1, 1})), Error);
  EXPECT_THROW(parse_sensitivity(to_payload({"t", FormatId::q2_0, 1, 2, std::nan(""), 1, 1})), Error);
  EXPECT_THROW(parse_sensitivity(to_payload({"t", FormatId::q2_0, 1, 2, -1, 1, 1})), Error);
  EXPECT_THROW(parse_sensitivity(to_payload({"t", FormatId::q2_0, 1, 2, 1e300, 1, 1})), Error);
  EXPECT_THROW(parse_sensitivity(to_payload({"t", FormatId::q2_0, INT64_MAX, 2, 1, 1, 1})), Error);
  EXPECT_THROW(parse_sensitivity(to_payload({"t", static_cast<FormatId>(9999), 1, 2, 1, 1, 1})), Error);
}

TEST(Sensitivity, ReplacesLossesAndScalesThePriorsOfTheRest) {
  Profile profile;
  for (const char* name : {"a", "b", "beyond"}) {
    ProfiledTensor tensor;
    tensor.name = name;
    tensor.alpha = 1;
    tensor.alpha_from = "prior";
    tensor.candidates = {{FormatId::q2_K, 10, 0.5, 0.01, 1}, {FormatId::q4_K, 20, 0.1, 0, 1}, {FormatId::f16, 100, 0, 0, 0}};
    profile.tensors.push_back(tensor);
  }
  SensitivityResults results;
  results.tensors["a"].formats = {{FormatId::q2_K, {2, 0.2}}, {FormatId::q4_K, {0.3, 0.1}}};
  results.tensors["b"].formats = {{FormatId::q2_K, {4, 0.2}}, {FormatId::q4_K, {0.9, 0.1}}};
  apply_sensitivities(profile, results);
  EXPECT_EQ(profile.tensors[0].candidates[0].loss, 2'000'000'000'000);
  EXPECT_EQ(profile.tensors[0].candidates[1].loss, 300'000'000'000);
  EXPECT_EQ(profile.tensors[0].candidates[2].loss, 0);
  EXPECT_DOUBLE_EQ(profile.tensors[0].alpha, 4);  // 2 nats at 2.625 bits, nearer to 3.5 than 4.5 is
  EXPECT_EQ(profile.tensors[0].alpha_from, "reverse");
  EXPECT_EQ(profile.tensors[2].alpha_from, "prior");
  EXPECT_DOUBLE_EQ(profile.tensors[2].alpha, 8);  // the median of 4 and 8, the upper of two
}

}  // namespace
}  // namespace snug
