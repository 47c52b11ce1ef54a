// encode_bench [--ggml libggml-base.so] [--model F.gguf]... [--imatrix F.gguf]... [--format NAME]...
//              [--rows N] [--repeats N] [--no-max]
//
// Error and speed of every encoder beside ggml's, on the same rows, in one run. docs/formats.md has the table.

#include <CLI/CLI.hpp>
#include <iostream>

#include "bench/encode_compare.hpp"
#include "snug/error.hpp"

int main(int argc, char** argv) {
  snug::bench::EncodeOptions options;
  bool no_max = false;
  CLI::App app{"compare our encoders with ggml's"};
  app.add_option("--ggml", options.ggml, "libggml-base.so")->check(CLI::ExistingFile);
  app.add_option("--model", options.models, "GGUF files in f16 or f32")->check(CLI::ExistingFile);
  app.add_option("--imatrix", options.importances, "their imatrix files, in the same order")
      ->check(CLI::ExistingFile);
  app.add_option("--format", options.formats, "only these");
  app.add_option("--rows", options.rows, "rows of each data set")->check(CLI::PositiveNumber);
  app.add_option("--repeats", options.repeats, "timings, of which the median counts")
      ->check(CLI::PositiveNumber);
  app.add_flag("--no-max", no_max, "leave Effort::max out");
  CLI11_PARSE(app, argc, argv);
  options.max = !no_max;
  try {
    std::cout << to_markdown(compare_encoders(options));
  } catch (const snug::Error& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
