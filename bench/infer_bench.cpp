// infer_bench [--llama FOLDER [--llama-cpu NAME]] [-p N] [-n N] [-r N] [--threads N] MODEL...
//
// Prompt and decode speed of snug's fast mode beside the real llama.cpp's on the same files, taking turns in
// one process. docs/performance.md has the table. --llama-cpu takes its library for one processor, as
// "haswell", which goes with SNUG_ISA=avx2. A model may be a folder, as MLX has it: llama.cpp then has no figure.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <iostream>
#include <thread>

#include "base/memory.hpp"
#include "base/parallel.hpp"
#include "eval/roofline.hpp"
#include "infer/kernels/kernels.hpp"
#include "interop/real_llama.hpp"
#include "snug/error.hpp"

namespace {

using namespace snug;
using Clock = std::chrono::steady_clock;

struct Options {
  std::string llama, llama_cpu;
  std::vector<std::string> models;
  int64_t prompt = 512, decode = 64;
  int repeats = 3, threads = 2;
  bool repack = true;
};

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::ranges::sort(values);
  return values[values.size() / 2];
}

template <class F>
double seconds(F&& f) {
  const auto start = Clock::now();
  f();
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// llama.cpp's threads look for work a while after they are done.
void let_rest() {
  std::this_thread::sleep_for(std::chrono::milliseconds(150));
}

void bench(const Options& o, const std::string& path, const test::RealLlama* llama) {
  infer::Model model{open_model(path)};
  if (o.repack) model.repack();
  infer::Session session{
      model,
      {.context = std::max(o.prompt, o.decode), .cache = FormatId::f16, .compute = infer::Compute::fast}};
  std::unique_ptr<test::RealLlama::Model> theirs;
  if (llama && std::filesystem::is_regular_file(path)) {
    theirs = llama->load(path, static_cast<uint32_t>(std::max(o.prompt, o.decode)));
    theirs->use_threads(o.threads);
  }
  std::vector<int32_t> tokens(static_cast<size_t>(std::max(o.prompt, o.decode)), 0);
  for (size_t i = 0; i < tokens.size(); ++i)
    tokens[i] = static_cast<int32_t>((i * 7919 + 1) % static_cast<size_t>(model.vocabulary()));
  const std::span<const int32_t> all{tokens};
  const auto theirs_decode = [&] {
    for (int64_t i = 0; i < o.decode; ++i) theirs->append(all.subspan(static_cast<size_t>(i), 1), i == 0);
  };
  infer::time_decode(session, 2);
  if (theirs) theirs->append(all.first(2), true);
  std::vector<double> prompt[2], decode[2];
  for (int r = 0; r < o.repeats; ++r) {
    let_rest();
    if (o.prompt > 0) prompt[0].push_back(infer::time_prompt(session, o.prompt));
    if (o.decode > 0) decode[0].push_back(infer::time_decode(session, o.decode));
    if (!theirs) continue;
    if (o.prompt > 0)
      prompt[1].push_back(seconds([&] { theirs->append(all.first(static_cast<size_t>(o.prompt)), true); }));
    if (o.decode > 0) decode[1].push_back(seconds(theirs_decode));
  }
  const auto rate = [](double count, const std::vector<double>& s) {
    return s.empty() ? 0 : count / median(s);
  };
  const double pp[2] = {rate(static_cast<double>(o.prompt), prompt[0]),
                        rate(static_cast<double>(o.prompt), prompt[1])};
  const double tg[2] = {rate(static_cast<double>(o.decode), decode[0]),
                        rate(static_cast<double>(o.decode), decode[1])};
  const infer::Work work = infer::work_of(model);
  std::printf("| %s | %.1f | %.1f | %.2f | %.0f | %.2f | %.2f | %.2f | %.1f |\n",
              std::filesystem::path{path}.filename().c_str(), pp[0], pp[1], pp[0] / pp[1],
              pp[0] * static_cast<double>(work.prompt_operations) * 1e-9, tg[0], tg[1], tg[0] / tg[1],
              tg[0] * static_cast<double>(work.decode_bytes) * 1e-9);
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  CLI::App app{"speed of the fast mode beside llama.cpp's"};
  app.add_option("--llama", o.llama, "folder of llama.cpp's libraries")->check(CLI::ExistingDirectory);
  app.add_option("--llama-cpu", o.llama_cpu, "its library for this processor, as haswell; else it chooses");
  app.add_option("MODEL", o.models)->required()->check(CLI::ExistingPath);
  app.add_option("-p", o.prompt)->check(CLI::NonNegativeNumber);
  app.add_option("-n", o.decode)->check(CLI::NonNegativeNumber);
  app.add_option("-r", o.repeats)->check(CLI::PositiveNumber);
  app.add_flag("--no-repack{false}", o.repack, "weights as they lie in the file");
  app.add_option("--threads", o.threads)->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);
  try {
    keep_freed_memory();
    set_threads(o.threads);
    std::unique_ptr<test::RealLlama> llama;
    if (!o.llama.empty()) llama = std::make_unique<test::RealLlama>(o.llama, o.llama_cpu);
    std::printf("%s; read %.1f GB/s, integer %.0f Gop/s, f32 %.0f Gop/s\n\n", infer::packed_kernels().isa,
                infer::read_bytes_per_second() * 1e-9, infer::integer_operations_per_second() * 1e-9,
                infer::real_operations_per_second() * 1e-9);
    std::printf(
        "| model | prompt t/s | llama.cpp | ratio | Gop/s | decode t/s | llama.cpp | ratio | GB/s |\n");
    std::printf("|---|---:|---:|---:|---:|---:|---:|---:|---:|\n");
    for (const std::string& model : o.models) bench(o, model, llama.get());
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
