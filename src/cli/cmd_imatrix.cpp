#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "base/progress.hpp"
#include "base/str.hpp"
#include "base/units.hpp"
#include "cli/commands.hpp"
#include "cli/common.hpp"
#include "measure/calibration.hpp"
#include "measure/collect.hpp"
#include "snug/error.hpp"

namespace snug::cli {
namespace {

constexpr int64_t kUsualChunk = 512;  // llama-imatrix's

struct Args {
  CommonArgs common;
  std::string model, out, memory, compute = "exact";
  CalibrationSource source;
  CollectOptions options;
  int64_t chunk = 0;
  bool force = false;
};

int64_t chunk_for(const Args& args, const infer::Model& model) {
  const int64_t trained = model.hparams().context;
  if (args.chunk == 0) return std::min(kUsualChunk, trained > 0 ? trained : kUsualChunk);
  if (trained > 0 && args.chunk > trained)
    notice(str("chunks of ", args.chunk, " tokens are longer than the context of ", trained,
               " that the model was trained for"));
  return args.chunk;
}

std::string json_of(const Args& args, const CollectReport& report) {
  return nlohmann::ordered_json{{"imatrix", args.out},       {"file_bytes", report.file_bytes},
                                {"tensors", report.tensors}, {"second_moments", report.inputs},
                                {"chunks", report.chunks},   {"chunk_tokens", args.options.chunk_tokens},
                                {"passes", report.passes},   {"chunks_resumed", report.resumed},
                                {"seconds", report.seconds}}
      .dump(2);
}

std::string text_of(const Args& args, const CollectReport& report) {
  std::string text = str("wrote ", args.out, ": ", show_count(report.tensors), " tensors over ",
                         show_count(report.chunks), " chunks of ", args.options.chunk_tokens, " tokens");
  if (report.inputs)
    text += str("\n  second moments of ", report.inputs, " inputs, in ", report.passes,
                report.passes > 1 ? " passes" : " pass");
  return text + str("\n  ", show_size(report.file_bytes), ", in ", show_duration(report.seconds),
                    report.resumed ? str("; ", report.resumed, " chunks were done before") : "");
}

int run(Args& args) {
  args.common.apply();
  if (args.out.empty()) throw Error{"no output named", "", "add -o OUT.gguf", Fault::usage};
  if (args.source.text.empty()) throw Error{"no calibration text named", "", "add -f TEXT", Fault::usage};
  if (!args.memory.empty()) args.options.memory_bytes = parse_size(args.memory);
  const infer::Model model{args.model};
  args.options.chunk_tokens = chunk_for(args, model);
  if (args.compute == "fast") args.options.compute = infer::Compute::fast;
  const Calibration text = calibration_tokens(args.source, model);
  const CollectReport report =
      collect_imatrix(model, text, args.options, args.out, args.force ? Existing::replace : Existing::refuse);
  print_out(args.common.json ? json_of(args, report) : text_of(args, report));
  return 0;
}

void add_collecting(CLI::App& command, Args& args) {
  command
      .add_option("--chunk", args.chunk, "tokens of a chunk (default: 512, or the model's context if less)")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 20));
  command.add_option("--chunks", args.options.chunks, "chunks to use, at most; 0: the whole text")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command
      .add_option("--skip-chunks", args.options.skip_chunks,
                  "chunks to leave to another run; join with --merge")
      ->check(CLI::NonNegativeNumber);
  command.add_flag("--output-weights,--process-output", args.options.output,
                   "also the output matrix (the token embedding where it is that)");
  command.add_flag("--full", args.options.full,
                   "also the second moments of each input, for second-order rounding: n x n values");
  command.add_option("--memory", args.memory,
                     "with --full: most memory for sums; more passes over the text where they take more "
                     "(default: half of what is free)");
  command.add_option("--compute", args.compute, "how the model is run: exact gives the same file anywhere")
      ->check(CLI::IsMember({"exact", "fast"}))
      ->capture_default_str();
  command.add_option("--save-every", args.options.save_seconds, "seconds between two saves of what is done")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
}

}  // namespace

void add_imatrix(CLI::App& app, int& exit_code) {
  auto args = std::make_shared<Args>();
  auto* command = app.add_subcommand("imatrix", "collect the importance of every input column from a text");
  command->add_option("MODEL", args->model, "GGUF file (of a split model the first)")->required();
  command->add_option("-f,--file", args->source.text, "calibration text, UTF-8");
  command->add_option("-o,--out", args->out,
                      "the imatrix to write: GGUF, or the legacy form if it ends in .dat");
  command->add_flag("--force", args->force, "replace an existing output");
  add_collecting(*command, *args);
  args->common.add_to(*command);
  command->callback([args, &exit_code] { exit_code = guarded([&] { return run(*args); }); });
}

}  // namespace snug::cli
