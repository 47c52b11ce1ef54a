// Writes a small random model of any architecture that snug runs, for tests against other implementations:
//   make_arch_model gemma4_experts --seed 3 -o model.gguf
// Seed 0 has every optional feature of the architecture; others draw. The same options give the same bytes.
#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdint>
#include <iostream>
#include <string>

#include "snug/error.hpp"
#include "tools/arch_models/arch_models.hpp"

int main(int argc, char** argv) {
  using namespace snug;
  std::string name, out;
  uint64_t seed = 0;
  CLI::App app{"writes a small random GGUF model of a given architecture"};
  app.add_option("NAME", name, "kind of model; without one the names are listed");
  app.add_option("--seed", seed, "0: every optional feature")->capture_default_str();
  app.add_option("-o,--output", out);
  CLI11_PARSE(app, argc, argv);
  const auto models = tools::arch_models();
  const auto found = std::ranges::find(models, name, &tools::ArchModel::name);
  if (found == models.end() || out.empty()) {
    for (const tools::ArchModel& model : models) std::cout << model.name << "\n";
    return name.empty() ? 0 : 2;
  }
  try {
    tools::write_arch_model(*found, seed, out);
  } catch (const Error& error) {
    std::cerr << "make_arch_model: " << error.what() << "\n";
    return static_cast<int>(error.fault());
  }
}
