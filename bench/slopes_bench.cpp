// How well one reverse pass at a recipe foretells what putting each of its tensors back would gain, against running
// the recipe without each.
//
//   bench_slopes MODEL IMATRIX TEXT [FORMATS [CHUNKS]]
//
// Every tensor in each of FORMATS in turn, where it fits; "-" for IMATRIX: without importance. What is printed of each estimate is
// bench_sensitivity's.
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "agreement.hpp"
#include "bench_subject.hpp"
#include "encode/candidates.hpp"
#include "measure/recipe_evaluator.hpp"
#include "measure/sensitivity/sensitivity.hpp"
#include "model/roles.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

class Bench {
 public:
  Bench(const std::string& model, const std::string& imatrix, const std::string& text, int64_t chunks)
      : on_{model, imatrix, text},
        chunks_{chunks},
        judge_{on_.model, on_.importance(), Effort::normal, on_.state, on_.tokens,
               {.chunks = chunks + 1, .context = 256, .bos = on_.bos}} {}

  void run(const Format& format) {
    const TensorFormats recipe = all_in(format);
    const double whole = mean_of(judge_.divergence(recipe, 0, chunks_)).value;
    const auto start = Clock::now();
    const Slopes slopes = judge_.slopes(recipe, 0, chunks_);
    const double there_and_back = seconds_since(start);
    const SensitivityResults alone = sensitivities(
        on_.model, on_.importance(), on_.state, on_.tokens, {.chunks = chunks_, .bos = on_.bos, .formats = std::string{format.name}});
    const auto running = Clock::now();
    std::vector<double> truth, slope, own, half, scaled;
    std::vector<std::string> names;
    double sum = 0, all = 0;
    for (const auto& [name, value] : slopes) all += alone.tensors.at(name).formats.at(format.id).loss;
    for (const auto& [name, value] : slopes) {
      const double loss = alone.tensors.at(name).formats.at(format.id).loss;
      const double without = mean_of(judge_.divergence_without(recipe, name, 0, chunks_)).value;
      names.push_back(name);
      truth.push_back(whole - without);
      own.push_back(loss);
      slope.push_back(value - loss);
      scaled.push_back(value - loss * whole / all);
      half.push_back(value / 2);
      sum += value;
      if (std::getenv("VERBOSE"))
        std::printf("    %-28s true %.3e slope %.3e alone %.3e\n", name.c_str(), truth.back(), value, loss);
    }
    std::printf("%s, %zu tensors: KL %.5f, slopes add up to %.2f of it, losses alone to %.2f; %.1f s, one by one %.1f s\n",
                std::string{format.name}.c_str(), names.size(), whole, sum / whole, all / whole, there_and_back,
                seconds_since(running));
    print_line("alone", own, truth, names);
    print_line("slope/2", half, truth, names);
    print_line("slope-own", slope, truth, names);
    print_line("slope-scaled", scaled, truth, names);
    std::fflush(stdout);
  }

 private:
  TensorFormats all_in(const Format& format) const {
    TensorFormats formats;
    for (const Tensor& tensor : on_.model.source().tensors())
      if (is_quantizable(tensor) && on_.model.find(tensor.name) && format.fits(tensor.cols()))
        formats[std::string{tensor.name}] = format.id;
    return formats;
  }

  BenchSubject on_;
  int64_t chunks_;
  RecipeEvaluator judge_;
};

}  // namespace
}  // namespace snug

int main(int argc, char** argv) {
  using namespace snug;
  const std::vector<std::string> args(argv + 1, argv + argc);
  if (args.size() < 3) {
    std::fprintf(stderr, "usage: bench_slopes MODEL IMATRIX TEXT [FORMATS [CHUNKS]]\n");
    return 2;
  }
  try {
    Bench bench{args[0], args[1], args[2], args.size() > 4 ? std::stoll(args[4]) : 8};
    for (const Format* format : wanted_formats(args.size() > 3 ? args[3] : "iq3_xxs,iq4_xs,q2_K", "llama.cpp"))
      bench.run(*format);
  } catch (const Error& error) {
    std::fprintf(stderr, "bench_slopes: %s\n", error.what());
    return 1;
  }
}
