// How well the reverse pass foretells what single tensors do: predicted KL against that of the model with the one
// tensor encoded, on the same chunks.
//
//   bench_sensitivity MODEL IMATRIX TEXT [FORMATS [CHUNKS [DRAWS [EVERY]]]]
//
// FORMATS are encoded and run, tensor by tensor (every EVERY-th); "-" for IMATRIX: without importance. Rank correlation over tensors;
// level: the median ratio of predicted to true KL, and within which factor of it half and nine of ten of them lie.
// Last the same of a probe in iq3_xxs carried over by relative errors (alpha * rho).
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <map>
#include <numeric>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "agreement.hpp"
#include "base/parallel.hpp"
#include "bench_subject.hpp"
#include "encode/candidates.hpp"
#include "encode/encode_tensor.hpp"
#include "infer/session.hpp"
#include "measure/reference_run.hpp"
#include "measure/sensitivity/sensitivity.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

class Bench {
 public:
  Bench(const std::string& model, const std::string& imatrix, const std::string& text, int64_t chunks, int64_t draws, size_t every)
      : on_{model, imatrix, text}, every_{every} {
    options_.chunks = chunks;
    options_.draws = draws;
    options_.bos = on_.bos;
  }

  void run(const std::vector<const Format*>& formats) {
    const Spent before = spent([&] { run_forward(); });
    const Spent all = spent([&] { found_ = sensitivities(on_.model, on_.importance(), on_.state, on_.tokens, options_); });
    const Spent after = spent([&] { run_forward(); });
    const double pass = (before.wall + after.wall) / 2, cpu = (before.cpu + after.cpu) / 2, seconds = all.wall;
    std::printf("%zu tensors, %zu out of reach; %lld chunks, %lld draws: %.2f s, of them %.2f encoding, %.2f forward;\n"
                "a forward pass with logits takes %.2f s: %.1f passes, %.1f without encoding; %.1f passes by processor time\n",
                found_.tensors.size(), found_.beyond.size(), static_cast<long long>(options_.chunks),
                static_cast<long long>(options_.draws), seconds, found_.encoding_seconds, found_.forward_seconds, pass,
                seconds / pass, (seconds - found_.encoding_seconds) / pass, all.cpu / cpu);
    ProbeOptions probing{.chunks = options_.chunks, .context = options_.context, .bos = on_.bos};
    base_.emplace(on_.model, on_.tokens, probing);
    base_->prepare(base_->chunks());
    for (const Format* format : formats) compare(*format);
  }

 private:
  /// Seconds by the clock, and of all threads' work: what is run beside it makes less of a difference to these.
  struct Spent {
    double wall = 0, cpu = 0;
  };
  static Spent spent(const std::function<void()>& work) {
    const auto start = Clock::now();
    const std::clock_t worked = std::clock();
    work();
    return {seconds_since(start), static_cast<double>(std::clock() - worked) / CLOCKS_PER_SEC};
  }

  void run_forward() {
    parallel_for(options_.chunks, [&](int64_t c) {
      infer::Session session{on_.model, {.context = options_.context, .batch = options_.context}};
      session.forward(std::span{on_.tokens}.subspan(static_cast<size_t>(c * options_.context),
                                                 static_cast<size_t>(options_.context)),
                      options_.context / 8);
    });
  }

  /// True KL, and rho.
  std::pair<double, double> truth(const Tensor& tensor, const Format& format) {
    const auto encoded =
        encode_tensor(tensor, format, on_.importance() ? on_.importance()->find(tensor.name) : nullptr);
    std::vector<double> kl(static_cast<size_t>(base_->chunks()));
    parallel_for(base_->chunks(), [&](int64_t c) {
      kl[static_cast<size_t>(c)] = base_->divergence(encoded, first_block_of(on_.model, tensor.name), c);
    });
    return {std::reduce(kl.begin(), kl.end()) / static_cast<double>(kl.size()), encoded.rho};
  }

  void compare(const Format& format) {
    std::vector<double> reverse, forward, kl;
    std::vector<std::string> names;
    size_t at = 0;
    for (const auto& [name, of] : found_.tensors) {
      if (at++ % every_ != 0) continue;
      const Tensor& tensor = *on_.model.source().find(name);
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

  BenchSubject on_;
  size_t every_;
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
