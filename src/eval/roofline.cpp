#include "eval/roofline.hpp"

#include <algorithm>
#include <chrono>
#include <memory>
#include <numeric>
#include <vector>

#include "base/parallel.hpp"
#include "infer/kernels/kernels.hpp"

namespace snug::infer {
namespace {

template <class F>
double seconds(F&& f) {
  const auto start = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Token ids that repeat late; which ones does not matter to a dense model.
std::vector<int32_t> some_tokens(const Session& session, int64_t count) {
  std::vector<int32_t> tokens(static_cast<size_t>(count));
  for (size_t i = 0; i < tokens.size(); ++i)
    tokens[i] = static_cast<int32_t>((i * 7919 + 1) % static_cast<size_t>(session.model().vocabulary()));
  return tokens;
}

/// The work of `part` on every thread at once, per second, best of three.
template <class Part>
double rate(double work_of_one, Part&& part) {
  double best = 0;
  for (int round = 0; round < 3; ++round) {
    const double s = seconds([&] { parallel_for(threads(), [&](int64_t i) { part(i); }); });
    best = std::max(best, work_of_one * threads() / s);
  }
  return best;
}

constexpr int64_t kBufferBytes = int64_t{256} << 20;  // a thread; larger than its share of the caches
constexpr int64_t kSteps = 4'000'000;

}  // namespace

Work work_of(const Model& model) {
  Work work;
  const double used = model.hparams().experts > 0 ? static_cast<double>(model.hparams().experts_used) /
                                                        static_cast<double>(model.hparams().experts)
                                                  : 1.0;
  for (const auto& [name, weight] : model.weights()) {
    if (!model.multiplies(name)) continue;
    const bool head = name == "output.weight" || name.starts_with("token_embd");
    const double share = weight.matrices > 1 && name.find("_exps") != std::string::npos ? used : 1.0;
    const int64_t bytes =
        weight.repacked.empty() ? weight.bytes() : static_cast<int64_t>(weight.repacked.size());
    work.decode_bytes += static_cast<int64_t>(share * static_cast<double>(bytes));
    const auto weights = static_cast<double>(weight.matrices * weight.rows * weight.cols);
    if (!head) work.prompt_operations += static_cast<int64_t>(2 * share * weights);
  }
  return work;
}

double time_prompt(Session& session, int64_t tokens) {
  const std::vector<int32_t> ids = some_tokens(session, tokens);
  session.reset();
  return seconds([&] { session.forward(ids, tokens - 1); });
}

double time_decode(Session& session, int64_t tokens) {
  const std::vector<int32_t> ids = some_tokens(session, tokens);
  session.reset();
  return seconds([&] {
    for (const int32_t id : ids) session.forward({&id, 1});
  });
}

double read_bytes_per_second() {
  std::vector<std::unique_ptr<uint64_t[]>> buffers;
  for (int i = 0; i < threads(); ++i) {
    buffers.push_back(std::make_unique_for_overwrite<uint64_t[]>(kBufferBytes / 8));
    std::fill_n(buffers.back().get(), kBufferBytes / 8, static_cast<uint64_t>(i));
  }
  std::vector<uint64_t> sums(buffers.size());
  return rate(static_cast<double>(kBufferBytes), [&](int64_t i) {
    sums[static_cast<size_t>(i)] =
        packed_kernels().read_ahead(buffers[static_cast<size_t>(i)].get(), kBufferBytes);
  });
}

double integer_operations_per_second() {
  return rate(static_cast<double>(kSteps * kIntegerPeakOperations),
              [&](int64_t) { packed_kernels().integer_peak(kSteps); });
}

double real_operations_per_second() {
  return rate(static_cast<double>(kSteps * kRealPeakOperations),
              [&](int64_t) { packed_kernels().real_peak(kSteps); });
}

}  // namespace snug::infer
