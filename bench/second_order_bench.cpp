// What error feedback is worth on text that nothing was made from: KL from the original with the encoders of
// Effort::normal, of Effort::max, and with feedback.
//
//   bench_second_order MODEL IMATRIX TEXT [FORMATS [CHUNKS]]
//
// IMATRIX is one of `snug imatrix --collect-hessians --output-weights` over another text. First each tensor alone, then
// all that the format fits. Chunks are spread over the text.
#include <chrono>
#include <cmath>
#include <cstdio>
#include <exception>
#include <fstream>
#include <functional>
#include <iterator>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "base/parallel.hpp"
#include "base/str.hpp"
#include "encode/encode_tensor.hpp"
#include "eval/divergence.hpp"
#include "eval/evaluate.hpp"
#include "imatrix/hessian_factors.hpp"
#include "imatrix/importance.hpp"
#include "infer/tokenizer/tokenizer.hpp"
#include "measure/reference_run.hpp"
#include "model/roles.hpp"
#include "quant/feedback/second_order.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

constexpr int64_t kContext = 256;
constexpr int64_t kSingleChunks = 8;  // for a tensor alone
constexpr const char* kFormats = "iq1_m,iq2_xxs,iq2_s,q2_K,iq3_xxs,q3_K,iq3_s,iq4_xs,q4_K,q5_K,q6_K";

enum Way { normal, most, feedback, kWays };

/// Every so many chunks of a text, so that `limit` of them are spread over it.
infer::Chunks spread_chunks(const std::vector<int32_t>& tokens, int64_t limit) {
  const int64_t count = static_cast<int64_t>(tokens.size()) / kContext;
  const int64_t step = std::max<int64_t>(1, count / limit);
  std::vector<int32_t> kept;
  for (int64_t c = 0; c < count && static_cast<int64_t>(kept.size()) < limit * kContext; c += step)
    kept.insert(kept.end(), tokens.begin() + c * kContext, tokens.begin() + (c + 1) * kContext);
  return infer::cut_into_chunks(std::move(kept), kContext, 0);
}

class Bench {
 public:
  Bench(const std::string& model, const std::string& imatrix, const std::string& text, int64_t chunks)
      : model_{open_model(model)}, importance_{Importance::load(imatrix)}, moments_{imatrix}, curvatures_{moments_} {
    if (moments_.empty()) throw Error{"no second moments", imatrix, "make it with `snug imatrix --collect-hessians`"};
    importance_.check_against(model_.source());
    const infer::Tokenizer tokenizer{model_.source()};
    if (tokenizer.adds_bos() && tokenizer.bos() >= 0) bos_ = tokenizer.bos();
    std::ifstream in{text, std::ios::binary};
    if (!in) throw io_error("read the text", text);
    const std::string words{std::istreambuf_iterator<char>{in}, {}};
    chunks_ = spread_chunks(tokenizer.encode(words, true, false), chunks);
    originals_.resize(static_cast<size_t>(chunks_.count()));
    each_chunk(
        {}, [&](int64_t c, infer::Activations logits) { originals_[static_cast<size_t>(c)] = std::move(logits); });
    ProbeOptions options{.chunks = kSingleChunks, .context = kContext, .bos = bos_};
    singles_.emplace(model_, chunks_.tokens, options);
    singles_->prepare(singles_->chunks());
  }

  void run(const Format& format) {
    double logs[kWays] = {}, seconds[kWays] = {}, whole[kWays] = {};
    int tensors = 0, worse = 0;
    std::vector<Encoded> all[kWays];
    for (const Tensor& tensor : model_.source().tensors()) {
      if (!is_quantizable(tensor) || !format.fits(tensor.cols()) || !model_.find(tensor.name)) continue;
      double kl[kWays] = {};
      for (int way = 0; way < kWays; ++way) {
        const auto start = std::chrono::steady_clock::now();
        all[way].push_back(encode(tensor, format, static_cast<Way>(way)));
        seconds[way] += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        kl[way] = alone(all[way].back(), tensor);
      }
      if (!(kl[normal] > 0)) continue;
      ++tensors;
      worse += kl[feedback] > kl[most];
      for (int way = 0; way < kWays; ++way) logs[way] += std::log(kl[way]);
    }
    if (!tensors) return;
    for (int way = 0; way < kWays; ++way) whole[way] = together(all[way]);
    const auto ratio = [&](Way way) { return std::exp((logs[way] - logs[normal]) / tensors); };
    std::printf(
        "| %-7s | %5.3f | %5.3f | %2d of %2d | %9.6f | %9.6f | %9.6f | %5.3f | %5.1f | %5.1f | %5.1f |\n",
        std::string{format.name}.c_str(), ratio(most), ratio(feedback), worse, tensors, whole[normal],
        whole[most], whole[feedback], whole[feedback] / whole[normal], seconds[normal], seconds[most],
        seconds[feedback]);
    std::fflush(stdout);
  }

 private:
  Encoded encode(const Tensor& tensor, const Format& format, Way way) {
    const TensorImportance* importance = importance_.find(tensor.name);
    return encode_tensor(tensor, format, importance, way == normal ? Effort::normal : Effort::max,
                         way == feedback ? &curvatures_ : nullptr);
  }

  double alone(const Encoded& tensor, const Tensor& source) const {
    const int block = layer_of(source.name);
    const int layer = block >= 0 ? block : role_of(source.name) == Role::output ? model_.layers() : 0;
    std::vector<double> kl(static_cast<size_t>(singles_->chunks()));
    parallel_for(singles_->chunks(),
                 [&](int64_t c) { kl[static_cast<size_t>(c)] = singles_->divergence(tensor, layer, c); });
    double sum = 0;
    for (const double k : kl) sum += k;
    return sum / static_cast<double>(kl.size());
  }

  double together(const std::vector<Encoded>& tensors) const {
    std::vector<double> kl(originals_.size());
    each_chunk(tensors, [&](int64_t c, const infer::Activations& logits) {
      const infer::Activations& original = originals_[static_cast<size_t>(c)];
      double sum = 0;
      for (int64_t r = 0; r < logits.count(); ++r) {
        const std::span<const float> row = original.row(r);
        const infer::BaseRow base{row, infer::log_sum_exp(row), -HUGE_VAL};
        sum += static_cast<double>(infer::compare(base, logits.row(r), 0).divergence);
      }
      kl[static_cast<size_t>(c)] = sum / static_cast<double>(logits.count());
    });
    double sum = 0;
    for (const double k : kl) sum += k;
    return sum / static_cast<double>(kl.size());
  }

  void each_chunk(const std::vector<Encoded>& tensors,
                  const std::function<void(int64_t chunk, infer::Activations logits)>& use) const {
    parallel_for(chunks_.count(), [&](int64_t c) {
      infer::Session session{model_, {.context = kContext, .batch = kContext}};
      for (const Encoded& t : tensors) session.replace(t.tensor, *t.format, t.data);
      const std::span<const int32_t> text = chunks_.chunk(c);
      std::vector<int32_t> tokens(text.begin(), text.end() - 1);  // the last predicts what is in the next chunk
      if (bos_) tokens.front() = *bos_;
      use(c, session.forward(tokens, chunks_.first()));
    });
  }

  infer::Model model_;
  Importance importance_;
  Hessians moments_;
  HessianFactors curvatures_;
  std::optional<int32_t> bos_;
  infer::Chunks chunks_;
  std::vector<infer::Activations> originals_;
  std::optional<ReferenceRun> singles_;
};

int run(int argc, char** argv) {
  if (argc < 4) throw Error{"needs MODEL IMATRIX TEXT", "", "see the head of bench/second_order_bench.cpp"};
  Bench bench{argv[1], argv[2], argv[3], argc > 5 ? std::stoll(argv[5]) : 48};
  std::puts(
      "| format | alone: max | feedback | worse | all: normal | max | feedback | ratio | s: normal | max | "
      "feedback |");
  std::puts("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
  std::istringstream list{argc > 4 ? argv[4] : kFormats};
  for (std::string name; std::getline(list, name, ',');) {
    const Format* format = find_format(name);
    if (!format) throw Error{str("no format '", name, "'"), "", "see `snug codec`"};
    bench.run(*format);
  }
  return 0;
}

}  // namespace
}  // namespace snug

int main(int argc, char** argv) {
  try {
    return snug::run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
