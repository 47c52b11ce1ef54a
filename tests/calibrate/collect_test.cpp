#include "calibrate/collect.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <limits>
#include <random>

#include "base/events.hpp"
#include "base/memory.hpp"
#include "base/parallel.hpp"
#include "base/progress.hpp"
#include "infer/tiny_llama.hpp"
#include "calibrate/collect_pass.hpp"
#include "imatrix/hessian.hpp"
#include "snug/error.hpp"
#include "support/scratch.hpp"
#include "support/tiny_model.hpp"

namespace snug {
namespace {

std::string bytes_of(const std::filesystem::path& path) {
  std::ifstream in{path, std::ios::binary};
  return {std::istreambuf_iterator<char>{in}, {}};
}

CalibrationTokens random_text(int64_t count, int32_t vocabulary, uint64_t seed) {
  std::mt19937_64 random{seed};
  CalibrationTokens text{{}, 1, "random"};
  for (int64_t i = 0; i < count; ++i)
    text.tokens.push_back(static_cast<int32_t>(random() % static_cast<uint64_t>(vocabulary)));
  return text;
}

template <class Call>
std::string refusal(Call call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "accepted";
}

class Collect : public testing::Test {
 protected:
  Collect() {
    test::write_tiny_llama({}, scratch_ / "model.gguf");
  }
  ~Collect() override {
    set_threads(0);
    set_memory_limit(0);
  }
  CollectReport collect(const CollectOptions& options, const std::string& out = "im.gguf") {
    const infer::Model model{open_model(scratch_ / "model.gguf")};
    return collect_imatrix(model, text_, options, scratch_ / out, Existing::refuse);
  }
  ImatrixSums sums(const std::string& tensor, const std::string& file = "im.gguf") {
    return read_imatrix(scratch_ / file).tensors.at(tensor);
  }

  test::Scratch scratch_;
  const CalibrationTokens text_ = random_text(100, 40, 1);
};

TEST_F(Collect, SumsWhatTheForwardPassMultiplies) {
  const CollectReport report = collect({.chunk_tokens = 16, .output = true});
  EXPECT_EQ(report.chunks, 6);
  EXPECT_EQ(report.tensors, 15);
  EXPECT_EQ(report.resumed, 0);

  const infer::Model model{open_model(scratch_ / "model.gguf")};
  std::vector<double> squares(96), plain(96), head(64);
  infer::Session session{model, {}};
  session.hooks.on_linear = [&](const infer::Weight& weight, int64_t, Matrix<const float> rows) {
    for (int64_t i = 0; i < rows.rows * rows.cols; ++i) {
      const double x = rows.data[i];
      if (weight.name == "output.weight") head[static_cast<size_t>(i % 64)] += x * x;
      if (weight.name != "blk.1.ffn_down.weight") continue;
      squares[static_cast<size_t>(i % 96)] += x * x;
      plain[static_cast<size_t>(i % 96)] += x;
    }
  };
  for (int c = 0; c < 6; ++c) {
    std::vector<int32_t> chunk(text_.tokens.begin() + c * 16, text_.tokens.begin() + c * 16 + 16);
    chunk[0] = 1;
    session.reset();
    session.forward(chunk);
  }
  const ImatrixSums down = sums("blk.1.ffn_down.weight"), output = sums("output.weight");
  EXPECT_EQ(down.counts, std::vector<float>{96});
  for (size_t j = 0; j < 96; ++j) {
    EXPECT_FLOAT_EQ(down.in_sum2[j], static_cast<float>(squares[j]));
    EXPECT_FLOAT_EQ(down.in_sum[j], static_cast<float>(plain[j]));
  }
  for (size_t j = 0; j < 64; ++j) EXPECT_FLOAT_EQ(output.in_sum2[j], static_cast<float>(head[j]));
}

TEST_F(Collect, TheOutputMatrixIsLeftOutUnlessAskedFor) {
  collect({.chunk_tokens = 16});
  EXPECT_FALSE(read_imatrix(scratch_ / "im.gguf").tensors.contains("output.weight"));
}

TEST_F(Collect, AnyNumberOfThreadsGivesTheSameBytes) {
  for (const int threads : {1, 2, 3}) {
    set_threads(threads);
    collect({.chunk_tokens = 32, .output = true, .full = true}, std::to_string(threads));
  }
  EXPECT_EQ(bytes_of(scratch_ / "1"), bytes_of(scratch_ / "2"));
  EXPECT_EQ(bytes_of(scratch_ / "1"), bytes_of(scratch_ / "3"));
}

TEST_F(Collect, ChunksAreCountedFromTheStart) {
  EXPECT_EQ(collect({.chunk_tokens = 16, .chunks = 2}).chunks, 2);
  EXPECT_EQ(collect({.chunk_tokens = 16, .skip_chunks = 4, .chunks = 9}, "rest").chunks, 2);
  EXPECT_EQ(sums("blk.0.attn_q.weight", "rest").counts, std::vector<float>{32});
  EXPECT_NE(refusal([&] { collect({.chunk_tokens = 16, .skip_chunks = 6}, "none"); }).find("none is left"),
            std::string::npos);
  EXPECT_NE(refusal([&] { collect({.chunk_tokens = 101}, "none"); }).find("100 tokens"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(scratch_ / "none"));
}

TEST_F(Collect, MoreChunksThanANumberHoldsAreTheWholeText) {
  const CollectReport all = collect({.chunk_tokens = 16, .skip_chunks = 1}, "all.gguf");
  const CollectReport most = collect(
      {.chunk_tokens = 16, .skip_chunks = 1, .chunks = std::numeric_limits<int64_t>::max()}, "most.gguf");
  EXPECT_EQ(most.chunks, all.chunks);
}

TEST_F(Collect, SecondMomentsAreThoseOfTheInputs) {
  const CollectReport report = collect({.chunk_tokens = 16, .output = true, .full = true});
  EXPECT_EQ(report.inputs, 10) << "four a block, the output's, and that by groups of rows";
  const Hessians moments{scratch_ / "im.gguf"};
  const Hessian* q = moments.find("blk.0.attn_q.weight");
  ASSERT_TRUE(q);
  EXPECT_EQ(q, moments.find("blk.0.attn_v.weight"));
  EXPECT_EQ(q->tensors.size(), 3u);
  EXPECT_NE(q, moments.find("blk.0.attn_output.weight"));
  for (const auto& [name, moment] : moments.inputs()) {
    if (!moment.row_groups.empty()) continue;
    const ImatrixSums columns = sums(name);
    for (int64_t j = 0; j < moment.dim; ++j)
      EXPECT_NEAR(moment.sums[static_cast<size_t>(j * moment.dim + j)],
                  columns.in_sum2[static_cast<size_t>(j)], 1e-5f * columns.in_sum2[static_cast<size_t>(j)]);
  }
  double expected = 0;
  const infer::Model model{open_model(scratch_ / "model.gguf")};
  ChunkRunner runner{model, text_, 16, false, infer::Compute::exact};
  for (int64_t c = 0; c < runner.chunks(); ++c)
    runner.run(c, [&](const infer::Weight& weight, int64_t, Matrix<const float> rows) {
      for (int64_t t = 0; t < rows.rows && weight.name == "blk.1.ffn_down.weight"; ++t)
        expected += double{rows.row(t)[70]} * rows.row(t)[17];
    });
  const Hessian* down = moments.find("blk.1.ffn_down.weight");
  ASSERT_TRUE(down);
  EXPECT_EQ(down->counts, std::vector<float>{96});
  EXPECT_NEAR(down->sums[70 * 96 + 17], expected, 1e-4 * std::fabs(expected));
  EXPECT_EQ(down->sums[70 * 96 + 17], down->sums[17 * 96 + 70]);
}

TEST_F(Collect, MomentsOfOutputRowsCountWhereTheirLogitsAreOpen) {
  collect({.chunk_tokens = 16, .output = true, .full = true});
  const Hessians moments{scratch_ / "im.gguf"};
  EXPECT_EQ(moments.find_rows("blk.0.attn_q.weight"), nullptr);
  const Hessian* rows = moments.find_rows("output.weight");
  ASSERT_TRUE(rows);
  ASSERT_EQ(rows->row_groups.size(), 40u);
  ASSERT_EQ(rows->mats, 2);

  const infer::Model model{open_model(scratch_ / "model.gguf")};
  ChunkRunner runner{model, text_, 16, true, infer::Compute::exact};
  std::vector<double> open;  // [tokens, groups] of the chunk
  runner.on_logits = [&](const infer::Weight&, const infer::Activations& logits) {
    for (int64_t t = 0; t < logits.count(); ++t) {
      double sum = 0, of_group[2] = {};
      for (const float l : logits.row(t)) sum += std::exp(static_cast<double>(l));
      for (size_t v = 0; v < 40; ++v) {
        const double p = std::exp(static_cast<double>(logits.row(t)[v])) / sum;
        of_group[rows->row_groups[v]] += p * (1 - p);
      }
      open.insert(open.end(), of_group, of_group + 2);
    }
  };
  double square[2] = {}, product[2] = {};
  for (int64_t c = 0; c < runner.chunks(); ++c) {
    open.clear();
    runner.run(c, [&](const infer::Weight& weight, int64_t, Matrix<const float> x) {
      for (int64_t t = 0; t < x.rows && weight.name == "output.weight"; ++t)
        for (int64_t g = 0; g < 2; ++g) {
          const double s = open[static_cast<size_t>(t * 2 + g)];
          square[g] += s * x.row(t)[5] * x.row(t)[5];
          product[g] += s * x.row(t)[5] * x.row(t)[9];
        }
    });
  }
  for (int64_t g = 0; g < 2; ++g) {
    EXPECT_NEAR(rows->matrix(g)[5 * 64 + 5], square[g], 1e-3 * square[g]);
    EXPECT_NEAR(rows->matrix(g)[5 * 64 + 9], product[g], 1e-3 * square[g]);
  }
}

TEST_F(Collect, SeveralPassesGiveTheBytesOfOne) {
  EXPECT_EQ(collect({.chunk_tokens = 16, .full = true}, "one").passes, 1);
  EXPECT_EQ(collect({.chunk_tokens = 16, .full = true, .memory_bytes = 60000}, "few").passes, 4);
  EXPECT_EQ(collect({.chunk_tokens = 16, .full = true, .memory_bytes = 1}, "many").passes, 8);
  EXPECT_EQ(bytes_of(scratch_ / "one"), bytes_of(scratch_ / "few"));
  EXPECT_EQ(bytes_of(scratch_ / "one"), bytes_of(scratch_ / "many"));
  EXPECT_EQ(collect({.chunk_tokens = 16, .output = true, .full = true}, "head").passes, 1);
  EXPECT_EQ(collect({.chunk_tokens = 16, .output = true, .full = true, .memory_bytes = 1}, "each").passes, 11);
  EXPECT_EQ(bytes_of(scratch_ / "head"), bytes_of(scratch_ / "each"));
  for (const auto& entry : std::filesystem::directory_iterator{scratch_.path()})
    EXPECT_EQ(entry.path().string().find("resume"), std::string::npos) << entry.path();
}

/// Too little for the model, for a second moment beside another, and for the hidden states of three chunks.
TEST_F(Collect, LittleMemoryGivesTheSameBytesFromOneSweep) {
  const CollectOptions options{.chunk_tokens = 16, .output = true, .full = true};
  EXPECT_EQ(collect(options, "free").model_reads, 0) << "it stayed in memory";
  set_memory_limit(40000);
  for (const int threads : {1, 3}) {
    set_threads(threads);
    const CollectReport report = collect(options, "limited");
    EXPECT_EQ(report.passes, 11);
    EXPECT_EQ(report.model_reads, 1);
    EXPECT_EQ(bytes_of(scratch_ / "free"), bytes_of(scratch_ / "limited"));
    std::filesystem::remove(scratch_ / "limited");
  }
}

/// Cancels once collecting has begun: at the end of a stage.
class Impatient : public Events {
 public:
  void log(std::string_view line) override { went_on += line.starts_with("going on before"); }
  void progress(const StageProgress& progress) override { begun_ = begun_ || progress.stage == "collecting"; }
  bool cancelled() const override { return begun_; }

  int went_on = 0;

 private:
  bool begun_ = false;
};

TEST_F(Collect, ASweepGoesOnFromTheStageWhereItWasStopped) {
  const CollectOptions options{.chunk_tokens = 16, .output = true, .full = true};
  collect(options, "whole");
  set_memory_limit(90000);
  int stops = 0, went_on = 0;
  for (bool done = false; !done && stops < 10;) {
    Impatient events;
    const EventScope scope{events};
    const std::string message = refusal([&] { collect(options, "part"); });
    done = message == "accepted";
    stops += !done;
    went_on += events.went_on;
    if (!done) {
      EXPECT_NE(message.find("what comes before"), std::string::npos) << message;
    }
  }
  EXPECT_EQ(stops, 3) << "behind the embeddings and each block";
  EXPECT_EQ(went_on, 3);
  EXPECT_EQ(bytes_of(scratch_ / "whole"), bytes_of(scratch_ / "part"));
  for (const auto& entry : std::filesystem::directory_iterator{scratch_.path()})
    EXPECT_EQ(entry.path().string().find("resume"), std::string::npos) << entry.path();
}

TEST_F(Collect, ADamagedPlaceOfASweepIsLeftAlone) {
  const CollectOptions options{.chunk_tokens = 16, .output = true, .full = true};
  collect(options, "whole");
  set_memory_limit(90000);
  {
    Impatient events;
    const EventScope scope{events};
    EXPECT_NE(refusal([&] { collect(options, "part"); }), "accepted");
  }
  std::string bytes = bytes_of(scratch_ / "part.resume-sweep");
  ASSERT_GT(bytes.size(), 100u);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 0x40);
  std::ofstream{scratch_ / "part.resume-sweep", std::ios::binary} << bytes;
  collect(options, "part");
  EXPECT_EQ(bytes_of(scratch_ / "whole"), bytes_of(scratch_ / "part"));
}

TEST_F(Collect, WideInputsGetNoSecondMoments) {
  const CollectReport report = collect({.chunk_tokens = 16, .full = true, .full_width = 64});
  EXPECT_EQ(report.inputs, 6) << "not the 96 wide of the down projections";
  EXPECT_EQ(report.tensors, 14);
  const Hessians moments{scratch_ / "im.gguf"};
  EXPECT_EQ(moments.find("blk.1.ffn_down.weight"), nullptr);
  EXPECT_NE(moments.find("blk.1.ffn_up.weight"), nullptr);
}

TEST_F(Collect, ADamagedModelIsNoticed) {
  test::TinyLlama tiny;
  tiny.format = FormatId::f32;
  test::write_tiny_llama(tiny, scratch_ / "model.gguf");
  std::string bytes = bytes_of(scratch_ / "model.gguf");
  const float nan = std::nanf("");
  std::memcpy(bytes.data() + bytes.size() - 64, &nan, 4);  // in the last tensor, blk.1.ffn_down
  std::ofstream{scratch_ / "model.gguf", std::ios::binary} << bytes;
  const std::string message = refusal([&] { collect({.chunk_tokens = 16, .output = true}); });
  EXPECT_NE(message.find("the input of 'output.weight' is nan"), std::string::npos) << message;
  EXPECT_NE(message.find("model.gguf on chunk 0"), std::string::npos) << message;
  EXPECT_FALSE(std::filesystem::exists(scratch_ / "im.gguf"));
}

TEST_F(Collect, ALegacyNameGivesTheLegacyForm) {
  collect({.chunk_tokens = 16}, "im.dat");
  EXPECT_TRUE(read_imatrix(scratch_ / "im.dat").legacy);
  EXPECT_NE(refusal([&] { collect({.chunk_tokens = 16, .full = true}, "full.dat"); }).find("legacy"),
            std::string::npos);
}

CollectPass some_pass() {
  CollectPass pass{3, {}, {}};
  ColumnSums columns{4, 2};
  columns.squares = {1, 2, 3, 4, 5, 6, 7, 8};
  columns.counts = {9, 0};
  pass.columns["a"] = columns;
  MomentSums moments{"a", 2, 1, 1};
  moments.allocate();
  moments.sums = {1, 2, 2, 5};
  pass.moments.push_back(moments);
  return pass;
}

TEST(CollectPass, SumsThatWaitOnDiskTakeNoMemory) {
  MomentSums moments{"a", 8, 0, 3};
  moments.allocate();
  moments.release();
  EXPECT_EQ(moments.sums.capacity(), 0u);
}

TEST(CollectPass, ComesBackAsItWasSaved) {
  const test::Scratch scratch;
  const Digest key = Digest::from_hex("00112233445566778899aabbccddeeff");
  save_pass(scratch / "p", key, some_pass());
  const auto pass = load_pass(scratch / "p", key);
  ASSERT_TRUE(pass);
  EXPECT_EQ(pass->chunks_done, 3);
  EXPECT_EQ(pass->columns.at("a").squares, some_pass().columns.at("a").squares);
  EXPECT_EQ(pass->columns.at("a").counts, (std::vector<int64_t>{9, 0}));
  ASSERT_EQ(pass->moments.size(), 1u);
  EXPECT_EQ(pass->moments[0].input, "a");
  EXPECT_EQ(pass->moments[0].sums, some_pass().moments[0].sums);
  EXPECT_FALSE(load_pass(scratch / "p", Digest{})) << "of another run";
  EXPECT_FALSE(load_pass(scratch / "none", key));
}

TEST(CollectPass, DamageIsNoticedAtEveryByte) {
  const test::Scratch scratch;
  const Digest key = Digest::from_hex("00112233445566778899aabbccddeeff");
  save_pass(scratch / "p", key, some_pass());
  const std::string whole = bytes_of(scratch / "p");
  for (size_t i = 0; i < whole.size(); ++i) {
    std::string bytes = whole;
    bytes[i] = static_cast<char>(bytes[i] ^ 0x40);
    std::ofstream{scratch / "q", std::ios::binary} << bytes;
    EXPECT_FALSE(load_pass(scratch / "q", key)) << "byte " << i;
    std::ofstream{scratch / "q", std::ios::binary} << whole.substr(0, i);
    EXPECT_FALSE(load_pass(scratch / "q", key)) << "cut at " << i;
  }
}

}  // namespace
}  // namespace snug
