// What the stages of a fit take where --memory is an eighth of the model: the process's own pages, and those of the
// model's file that are mapped at a time.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <map>
#include <mutex>
#include <string>
#include <thread>

#include "artifact/quantize_model.hpp"
#include "base/memory.hpp"
#include "base/read_counter.hpp"
#include "base/str.hpp"
#include "calibrate/collect.hpp"
#include "eval/evaluate.hpp"
#include "measure/measure.hpp"
#include "measure/on_tiny_llama.hpp"
#include "measure/recipe_evaluator.hpp"
#include "measure/sensitivity/sensitivity.hpp"
#include "plan/baseline_recipes.hpp"
#include "support/scratch.hpp"

namespace snug {
namespace {

constexpr int64_t kMemory = 72 << 20, kSlack = int64_t{200} << 20, kModel = 8 * kMemory;

/// The most of anonymous pages (with_file: of mapped files' pages) that the process had while it lives.
class Peak {
 public:
  Peak() : thread_{[this] { watch(); }} {}
  ~Peak() { stop(); }
  int64_t own() { return stop(), own_; }
  int64_t mapped() { return stop(), mapped_; }

 private:
  void stop() {
    ended_ = true;
    if (thread_.joinable()) thread_.join();
  }
  void watch() {
    while (!ended_) {
      std::ifstream in{"/proc/self/status"};
      std::string name;
      for (int64_t kib = 0; in >> name; in.clear()) {
        if ((name == "RssAnon:" || name == "RssFile:") && in >> kib) {
          int64_t& most = name == "RssAnon:" ? own_ : mapped_;
          most = std::max(most, kib * 1024);
        }
        std::getline(in, name);
      }
      std::this_thread::sleep_for(std::chrono::milliseconds{2});
    }
  }

  std::atomic<bool> ended_{false};
  int64_t own_ = 0, mapped_ = 0;
  std::thread thread_;
};

class MemoryLimit : public testing::Test {
 protected:
  MemoryLimit() {
    const std::string options = "--layers 7 --width 2048 --ffn 5632 --vocab 4096 --type bf16";
    if (std::system(str(MAKE_MODEL, " ", options, " -o ", path_.string(), " >/dev/null 2>&1").c_str()) != 0)
      throw std::runtime_error{"the model cannot be made"};
    set_memory_limit(kMemory);
  }
  ~MemoryLimit() override { set_memory_limit(0); }

  static void expect_little(Peak& peak) {
    EXPECT_LE(peak.own(), kMemory + kSlack);
    EXPECT_LE(peak.mapped(), kModel / 2) << "pages of layers that were done with";
  }

  test::Scratch scratch_;
  const std::filesystem::path path_ = scratch_ / "model.gguf";
  const CalibrationTokens text_{test::random_tokens(96, 4096, 3), 1, "random"};
};

/// Counts what stages read of the weights.
class Reads : public Events, public ReadCounter {
 public:
  void count_read(std::string_view stage, int64_t bytes) override {
    const std::lock_guard lock{mutex_};
    bytes_[std::string{stage}] += bytes;
  }
  /// In sizes of the model.
  double of(const std::string& stage, const ModelSource& model) {
    int64_t all = 0;
    for (const Tensor& tensor : model.tensors()) all += tensor.bytes();
    return static_cast<double>(bytes_[stage]) / static_cast<double>(all);
  }

 private:
  std::mutex mutex_;
  std::map<std::string, int64_t> bytes_;
};

TEST_F(MemoryLimit, HoldsForEveryStageThatRunsAModelOfEightTimesAsMuch) {
  const infer::Model model{open_model(path_)};
  ASSERT_GE(model.source().bytes(), kModel);
  Reads reads;
  const EventScope scope{reads};
  const std::string formats = "q4_0,q4_1,q5_0,q5_1,q8_0,iq4_nl,q4_K,q6_K";
  Store store = Store::open(scratch_ / "state", Access::write);
  {
    SCOPED_TRACE("measuring");
    Peak peak;
    measure(model.source(), nullptr, store, {.formats = formats});
    expect_little(peak);
    EXPECT_GT(reads.of("measuring", model.source()), 0);
    EXPECT_LT(reads.of("measuring", model.source()), 1);
  }
  {
    SCOPED_TRACE("going back");
    Peak peak;
    SensitivityOptions options{.chunks = 5, .context = 32, .bos = 1, .formats = formats};
    const SensitivityResults found = sensitivities(model, nullptr, store, text_.tokens, options);
    expect_little(peak);
    EXPECT_GT(found.tensors.size(), 40u);
    EXPECT_NEAR(reads.of("the way there and back", model.source()), 2, 0.1);  // one group of chunks
  }
  {
    SCOPED_TRACE("collecting, second moments too");
    Peak peak;
    const CollectReport report = collect_imatrix(
        model, text_, {.chunk_tokens = 32, .full = true, .full_width = 2048}, scratch_ / "im.gguf", Existing::refuse);
    expect_little(peak);
    EXPECT_GT(report.passes, 1);
    EXPECT_EQ(report.model_reads, 1);
  }
  {
    SCOPED_TRACE("scoring");
    Peak peak;
    const infer::Session session{model, {.context = 32}};
    infer::score_chunks(session, infer::cut_into_chunks(text_.tokens, 32, 0), 1, nullptr, {});
    expect_little(peak);
  }
  {
    SCOPED_TRACE("judging a recipe as large as half the model");
    Peak peak;
    RecipeEvaluator judge{model, nullptr, Effort::normal, store, text_.tokens, {.chunks = 2, .context = 32, .bos = 1}};
    TensorFormats encodings;
    for (const auto& [name, weight] : model.weights()) encodings[name] = FormatId::q8_0;
    for (const double kl : judge.divergence(encodings, 0, 2)) EXPECT_GT(kl, 0);
    expect_little(peak);
    EXPECT_NEAR(reads.of("judging", model.source()), 1, 0.01);
  }
  {
    SCOPED_TRACE("error feedback");
    const Hessians moments{scratch_ / "im.gguf"};
    Peak peak;
    RecipeEvaluator judge{model, nullptr, Effort::normal, store, text_.tokens, {.chunks = 2, .context = 32, .bos = 1}};
    judge.set_moments(&moments);
    for (const double kl : judge.divergence({{"blk.0.attn_q.weight", FormatId::q4_0}}, 0, 2)) EXPECT_GT(kl, 0);
    expect_little(peak);
  }
  {
    SCOPED_TRACE("writing");
    Peak peak;
    quantize_model(model.source(), nullptr, uniform_recipe(model.source(), "q4_0"), scratch_ / "out.gguf", Existing::refuse);
    expect_little(peak);
    EXPECT_NEAR(reads.of("writing", model.source()), 1, 0.01);
  }
}

}  // namespace
}  // namespace snug
