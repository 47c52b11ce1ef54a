// Fits a model into a size, with nothing but what `cmake --install` put in place: fit_a_model MODEL BYTES OUT
#include <cstdio>
#include <cstdlib>

#include "snug/error.hpp"
#include "snug/fit.hpp"

struct Said : snug::Events {
  void log(std::string_view line) override { std::printf("%.*s\n", static_cast<int>(line.size()), line.data()); }
};

int main(int argc, char** argv) try {
  if (argc != 4) return 2;
  const snug::PlanOptions plan{.budget = snug::Budget::of_file(std::atoll(argv[2]))};
  const snug::FitRequest request{.model = argv[1], .sizes = {{.plan = plan, .output = argv[3]}}};
  Said said;
  const snug::FitResult result = snug::fit(request, said).front();
  std::printf("%lld bytes, %.6f nats per token\n", static_cast<long long>(result.written->bytes), result.recipe.predicted_loss);
  return 0;
} catch (const snug::Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return static_cast<int>(error.fault());
}
