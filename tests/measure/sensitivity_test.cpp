#include "measure/sensitivity.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>

#include "base/parallel.hpp"
#include "base/read_file.hpp"
#include "encode/encode_tensor.hpp"
#include "infer/tiny_llama.hpp"
#include "measure/probe_base.hpp"
#include "measure/row_gradients.hpp"
#include "measure/scores.hpp"
#include "measure/sensitivity_record.hpp"
#include "snug/error.hpp"
#include "support/scratch.hpp"
#include "support/tiny_model.hpp"

namespace snug {
namespace {

std::vector<int32_t> random_tokens(int64_t count, int32_t vocabulary, uint64_t seed) {
  std::mt19937_64 random{seed};
  std::vector<int32_t> tokens;
  for (int64_t i = 0; i < count; ++i)
    tokens.push_back(static_cast<int32_t>(random() % static_cast<uint64_t>(vocabulary)));
  return tokens;
}

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

class SensitivityOfTinyLlama : public testing::Test {
 protected:
  SensitivityOfTinyLlama() {
    test::write_tiny_llama({}, scratch / "model.gguf");
    options.context = 16;
    options.chunks = 5;
    options.bos = 1;
  }

  SensitivityResults run(const std::string& state) {
    const infer::Model model{open_model(scratch / "model.gguf")};
    Store store = Store::open(scratch / state, Access::write);
    SensitivityResults results = sensitivities(model, nullptr, store, tokens, options);
    contents = store.contents_digest();
    return results;
  }

  test::Scratch scratch;
  SensitivityOptions options;
  std::vector<int32_t> tokens = random_tokens(100, 40, 7);
  Digest contents;
};

/// Many draws over few tokens against the divergence itself, where errors are small enough for the quadratic form.
TEST_F(SensitivityOfTinyLlama, IsTheDivergenceThatATensorCausesByItself) {
  options.draws = 200;
  options.formats = "q8_0,q5_1,q4_0";
  const SensitivityResults results = run("state");
  const infer::Model model{open_model(scratch / "model.gguf")};
  ProbeBase base{model, tokens, {.chunks = options.chunks, .context = 16, .bos = 1}};
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
  ProbeBase base{model, tokens, {.chunks = 4, .context = 48, .bos = {}}};
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

TEST(RowSample, SpreadTakesWholeGroupsAndAllRowsWhereTheyAreFew) {
  Tensor tensor;
  tensor.shape = {64, 640, 1, 1};
  tensor.dims = 2;
  const RowSample some = spread_sample(tensor, 64, 128);
  EXPECT_EQ(some.rows.size(), 4u * 64);  // four groups at least
  EXPECT_EQ(some.weights, std::vector<double>(4, 2.5));
  for (size_t i = 0; i < some.rows.size(); ++i)
    EXPECT_EQ(some.rows[i] / 64, some.rows[static_cast<size_t>(some.groups[i]) * 64] / 64);
  EXPECT_TRUE(std::ranges::is_sorted(some.rows));
  const RowSample all = spread_sample(tensor, 1, 600);
  EXPECT_TRUE(all.whole());
  EXPECT_EQ(all.weights, std::vector<double>(640, 1.0));
}

TEST(RowSample, ProportionalWeighsEachRowByOneOverItsChance) {
  std::mt19937_64 random{1};
  std::exponential_distribution<double> heavy;
  std::vector<double> sizes;
  for (int i = 0; i < 1000; ++i) sizes.push_back(std::pow(heavy(random), 3));
  sizes[7] = 0;
  double total = 0, estimated = 0;
  const RowSample sample = proportional_sample(sizes, 200);
  for (const double s : sizes) total += s;
  for (size_t i = 0; i < sample.rows.size(); ++i) {
    EXPECT_NE(sample.rows[i], 7);
    EXPECT_GE(sample.weights[i], 1);
    estimated += sample.weights[i] * sizes[static_cast<size_t>(sample.rows[i])];
  }
  EXPECT_NEAR(static_cast<double>(sample.rows.size()), 200, 1.5);
  EXPECT_NEAR(estimated, total, 0.01 * total);  // of what chances are in proportion to, the sum is nearly exact
}

TEST(Scores, HaveTheCurvatureOfTheDivergenceAsSecondMoment) {
  constexpr int64_t kDraws = 20000, kWidth = 5;
  infer::Rows logits(1, kWidth);
  const float values[] = {0.5f, 3, -1, 1, -4};
  std::copy_n(values, kWidth, logits.at(0));
  const infer::Rows g = score_gradients(logits, 3, kDraws, Digest{});
  double p[kWidth], sum = 0;
  for (int i = 0; i < kWidth; ++i) sum += p[i] = std::exp(static_cast<double>(values[i]));
  for (double& v : p) v /= sum;
  for (int i = 0; i < kWidth; ++i)
    for (int j = 0; j < kWidth; ++j) {
      double moment = 0;
      for (int64_t d = 0; d < kDraws; ++d) moment += static_cast<double>(g.at(d)[i]) * g.at(d)[j] / kDraws;
      EXPECT_NEAR(moment, (i == j ? p[i] : 0) - p[i] * p[j], 0.006) << i << " " << j;
    }
}

/// By the definition: whole gradients, row by row.
TEST(RowGradients, SumsAreThoseOfWholeGradients) {
  std::mt19937_64 random{9};
  std::normal_distribution<float> normal;
  const auto rows_of = [&](int64_t count, int64_t width) {
    infer::Rows rows(count, width);
    for (float& v : rows.values()) v = normal(random);
    return rows;
  };
  const infer::Rows weights = rows_of(12, 32), inputs = rows_of(5, 32), gradients = rows_of(10, 6);
  Tensor tensor;
  tensor.shape = {32, 6, 2, 1};
  tensor.dims = 3;
  tensor.format = FormatId::f32;
  tensor.data = std::as_bytes(weights.values()).data();
  const infer::Weight weight{"w", find_format(FormatId::f32), 32, 6, 2, tensor.contiguous()};
  Sampled sampled{&weight, {{2, 3, 6, 7, 10, 11}, {0, 0, 1, 1, 2, 2}, {2, 2, 2}, 12}, row_energies(tensor, nullptr), {}};
  sampled.errors = FormatErrors{tensor, nullptr, {find_format(FormatId::q4_0)}, sampled.sample, Effort::normal};
  RowGradients of{sampled, 2};
  of.add_product(1, inputs, gradients);
  const ChunkSums sums = of.sums();
  double wanted = 0, covered = 0, all = 0;
  for (int64_t draw = 0; draw < 2; ++draw)
    for (int64_t group = 0; group < 3; ++group) {
      double inner = 0;
      for (int64_t i = 2 * group; i < 2 * group + 2; ++i) {
        const int64_t row = sampled.sample.rows[static_cast<size_t>(i)] - 6;
        for (int64_t t = 0; t < 5 && row >= 0; ++t)
          for (int64_t k = 0; k < 32; ++k)
            inner += static_cast<double>(gradients.at(draw * 5 + t)[row]) * inputs.at(t)[k] * sampled.errors.at(i, 0)[k];
      }
      wanted += 2 * inner * inner;
    }
  for (int64_t row = 6; row < 12; ++row)
    for (int64_t i = 0; i < 10; ++i) {
      const double g = gradients.at(i)[row - 6], part = g * g * sampled.energies[static_cast<size_t>(row)];
      all += part;
      covered += std::ranges::count(sampled.sample.rows, row) ? 2 * part : 0;
    }
  EXPECT_NEAR(sums.squares[0], wanted, 1e-4 * wanted);
  EXPECT_NEAR(sums.covered, covered, 1e-4 * covered);
  EXPECT_NEAR(sums.all, all, 1e-4 * all);
}

/// As those of a checkpoint that stores a tensor transposed or scaled.
TEST(FormatErrors, AreThoseOfRowsThatAreMadeOnReading) {
  std::vector<float> weights(4 * 32);
  for (size_t i = 0; i < weights.size(); ++i) weights[i] = std::sin(static_cast<float>(i));
  Tensor tensor;
  tensor.shape = {32, 4, 1, 1};
  tensor.dims = 2;
  tensor.format = FormatId::f32;
  Tensor made = tensor;
  tensor.data = std::as_bytes(std::span{weights}).data();
  made.places = std::make_shared<RowPlaces>(
      RowPlaces{1, {}, [&](int64_t row, std::span<std::byte> out) { std::ranges::copy(tensor.row(row), out.begin()); }});
  const RowSample sample{{1, 3}, {0, 1}, {2, 2}, 4};
  const std::vector<const Format*> formats{find_format(FormatId::q4_0)};
  const FormatErrors in_place{tensor, nullptr, formats, sample, Effort::normal};
  const FormatErrors on_reading{made, nullptr, formats, sample, Effort::normal};
  for (int64_t i = 0; i < 2; ++i)
    for (int64_t k = 0; k < 32; ++k) EXPECT_EQ(on_reading.at(i, 0)[k], in_place.at(i, 0)[k]);
  EXPECT_EQ(row_energies(made, nullptr), row_energies(tensor, nullptr));
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
