// How well the reverse pass foretells what single tensors do: predicted KL against that of the model with the one
// tensor encoded, on the same chunks.
//
//   bench_sensitivity MODEL IMATRIX TEXT [FORMATS [CHUNKS [DRAWS [EVERY]]]]
//
// FORMATS are encoded and run, tensor by tensor (every EVERY-th); "-" for IMATRIX: without importance. Rank correlation over tensors;
// level: the median ratio of predicted to true KL, and within which factor of it half and nine of ten of them lie.
// Last the same of a probe in iq3_xxs carried over by relative errors (alpha * rho).
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <numeric>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "agreement.hpp"
#include "base/parallel.hpp"
#include "encode/candidates.hpp"
#include "encode/encode_tensor.hpp"
#include "imatrix/importance.hpp"
#include "infer/session.hpp"
#include "infer/tokenizer/tokenizer.hpp"
#include "measure/reference_run.hpp"
#include "measure/sensitivity/sensitivity.hpp"
#include "snug/error.hpp"
#include "support/scratch.hpp"

namespace snug {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

class Bench {
 public:
  Bench(const std::string& model, const std::string& imatrix, const std::string& text, int64_t chunks, int64_t draws, size_t every)
      : model_{open_model(model)}, every_{every}, state_{Store::open(scratch_ / "state", Access::write)} {
    if (imatrix != "-") importance_.emplace(Importance::load(imatrix));
    if (importance_) importance_->check_against(model_.source());
    const infer::Tokenizer tokenizer{model_.source()};
    if (tokenizer.adds_bos() && tokenizer.bos() >= 0) bos_ = tokenizer.bos();
    std::ifstream in{text, std::ios::binary};
    if (!in) throw io_error("read the text", text);
    const std::string words{std::istreambuf_iterator<char>{in}, {}};
    tokens_ = tokenizer.encode(words, true, false);
    options_.chunks = chunks;
    options_.draws = draws;
    options_.bos = bos_;
  }

  void run(const std::vector<const Format*>& formats) {
    const auto start = Clock::now();
    found_ = sensitivities(model_, importance(), state_, tokens_, options_);
    const double seconds = seconds_since(start), pass = forward_seconds();
    std::printf("%zu tensors, %zu out of reach; %lld chunks, %lld draws: %.1f s, of them %.1f encoding, %.1f forward;\n"
                "a forward pass with logits takes %.1f s: %.1f passes, %.1f without encoding\n",
                found_.tensors.size(), found_.beyond.size(), static_cast<long long>(options_.chunks),
                static_cast<long long>(options_.draws), seconds, found_.encoding_seconds, found_.forward_seconds, pass,
                seconds / pass, (seconds - found_.encoding_seconds) / pass);
    ProbeOptions probing{.chunks = options_.chunks, .context = options_.context, .bos = bos_};
    base_.emplace(model_, tokens_, probing);
    base_->prepare(base_->chunks());
    for (const Format* format : formats) compare(*format);
  }

 private:
  const Importance* importance() const { return importance_ ? &*importance_ : nullptr; }

  double forward_seconds() {
    const auto start = Clock::now();
    parallel_for(options_.chunks, [&](int64_t c) {
      infer::Session session{model_, {.context = options_.context, .batch = options_.context}};
      session.forward(std::span{tokens_}.subspan(static_cast<size_t>(c * options_.context),
                                                 static_cast<size_t>(options_.context)),
                      options_.context / 8);
    });
    return seconds_since(start);
  }

  /// True KL, and rho.
  std::pair<double, double> truth(const Tensor& tensor, const Format& format) {
    const auto encoded =
        encode_tensor(tensor, format, importance_ ? importance_->find(tensor.name) : nullptr);
    std::vector<double> kl(static_cast<size_t>(base_->chunks()));
    parallel_for(base_->chunks(), [&](int64_t c) {
      kl[static_cast<size_t>(c)] = base_->divergence(encoded, first_block_of(model_, tensor.name), c);
    });
    return {std::reduce(kl.begin(), kl.end()) / static_cast<double>(kl.size()), encoded.rho};
  }

  void compare(const Format& format) {
    std::vector<double> reverse, forward, kl;
    std::vector<std::string> names;
    size_t at = 0;
    for (const auto& [name, of] : found_.tensors) {
      if (at++ % every_ != 0) continue;
      const Tensor& tensor = *model_.source().find(name);
      if (!of.formats.contains(format.id)) continue;
      const auto [true_kl, rho] = truth(tensor, format);
      if (const Format* probing = find_format("iq3_xxs"); probing->fits(tensor.cols())) {
        auto& [known, probe_rho] = probes_[name];
        if (known == 0) std::tie(known, probe_rho) = truth(tensor, *probing);
        forward.push_back(known / probe_rho * rho);
      }
      kl.push_back(true_kl);
      reverse.push_back(of.formats.at(format.id).loss);
      names.push_back(name);
      if (std::getenv("VERBOSE"))
        std::printf("    %-28s true %.3e reverse %.3e ratio %.2f\n", name.c_str(), true_kl, reverse.back(),
                    reverse.back() / true_kl);
    }
    if (kl.empty()) return;
    std::printf("%s, %zu tensors, KL %.2e to %.2e\n", std::string{format.name}.c_str(), kl.size(),
                *std::ranges::min_element(kl), *std::ranges::max_element(kl));
    print_line("reverse", reverse, kl, names);
    if (forward.size() == kl.size()) print_line("alpha*rho", forward, kl, names);
    std::fflush(stdout);
  }

  test::Scratch scratch_;
  infer::Model model_;
  size_t every_;
  std::optional<Importance> importance_;
  Store state_;
  std::optional<int32_t> bos_;
  std::vector<int32_t> tokens_;
  SensitivityOptions options_;
  SensitivityResults found_;
  std::optional<ReferenceRun> base_;
  std::map<std::string, std::pair<double, double>> probes_;
};

}  // namespace
}  // namespace snug

int main(int argc, char** argv) {
  using namespace snug;
  const std::vector<std::string> args(argv + 1, argv + argc);
  if (args.size() < 3) {
    std::fprintf(stderr, "usage: bench_sensitivity MODEL IMATRIX TEXT [FORMATS [CHUNKS [DRAWS [EVERY]]]]\n");
    return 2;
  }
  try {
    const auto formats = wanted_formats(args.size() > 3 ? args[3] : "iq3_xxs,iq4_xs,q2_K", "llama.cpp");
    Bench{args[0], args[1], args[2], args.size() > 4 ? std::stoll(args[4]) : 12,
          args.size() > 5 ? std::stoll(args[5]) : 2, args.size() > 6 ? std::stoull(args[6]) : 1}
        .run(formats);
  } catch (const Error& error) {
    std::fprintf(stderr, "bench_sensitivity: %s\n", error.what());
    return 1;
  }
}
