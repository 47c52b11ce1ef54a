#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/files/output_guard.hpp"
#include "base/json_reader.hpp"
#include "base/progress.hpp"
#include "base/str.hpp"
#include "base/units.hpp"
#include "calibrate/calibration.hpp"
#include "calibrate/collect.hpp"
#include "cli/commands.hpp"
#include "cli/common.hpp"
#include "cli/options/memory_option.hpp"
#include "cli/options/whole_number.hpp"
#include "cli/text/imatrix_report.hpp"
#include "imatrix/imatrix_merge.hpp"
#include "model/finite_weights.hpp"
#include "snug/error.hpp"
#include "source/open_model.hpp"

namespace snug::cli {
namespace {

constexpr int64_t kUsualChunk = 512;  // llama-imatrix's

struct Args {
  CommonArgs common;
  MemoryOption memory;
  std::string model, out, compute = "exact", statistics;
  std::vector<std::filesystem::path> merge;
  CalibrationText source;
  CollectOptions options;
  int64_t chunk = 0;
  bool force = false;

  Existing existing() const { return force ? Existing::replace : Existing::refuse; }
};

[[noreturn]] void refuse_usage(const std::string& problem, const std::string& remedy) {
  throw Error{problem, "", remedy, Fault::usage};
}

int64_t chunk_for(const Args& args, const infer::Model& model) {
  const int64_t trained = model.hparams().context;
  if (args.chunk == 0) return std::min(kUsualChunk, trained > 0 ? trained : kUsualChunk);
  if (trained > 0 && args.chunk > trained)
    log_line(str("chunks of ", args.chunk, " tokens are longer than the context of ", trained,
                 " that the model was trained for"));
  return args.chunk;
}

void print(const Args& args, const std::string& text, const nlohmann::ordered_json& json) {
  print_out(args.common.json ? json_text(json, 2) : text);
}

int show_statistics(const Args& args) {
  const Imatrix imatrix = read_imatrix(args.statistics);
  print(args, statistics_text(imatrix), statistics_json(imatrix));
  return 0;
}

int merge(const Args& args) {
  if (args.merge.size() < 2) refuse_usage("--merge takes two files or more", "snug imatrix --merge A B -o C");
  OutputGuard{args.existing()}.reads(args.merge).writes(args.out).check();
  const ImatrixMergeReport report = merge_imatrices(args.merge, args.out, args.existing());
  print(args, merged_text(args.out, args.merge.size(), report),
        merged_json(args.out, args.merge.size(), report));
  return 0;
}

int collect(Args& args) {
  if (args.source.text.empty()) refuse_usage("no calibration text named", "add -f TEXT, or --calib self");
  if (args.compute == "fast") args.options.compute = infer::Compute::fast;
  const bool own_text = args.source.text == kSelfText;
  const std::filesystem::path kept = own_text ? args.out + ".resume-text" : "";
  OutputGuard{args.existing()}
      .reads(model_files(args.model))
      .reads({own_text ? "" : args.source.text})
      .writes(args.out)
      .keeps(kept)
      .keeps(args.out + ".resume-1")
      .keeps(args.out + ".resume-sweep")
      .check();
  const infer::Model model{open_model(args.model)};
  check_finite(model.source());
  args.options.chunk_tokens = chunk_for(args, model);
  std::optional<Store> keep;
  if (own_text) keep = Store::open(kept, Access::write);
  const CalibrationTokens text = calibration_tokens(args.source, model, keep ? &*keep : nullptr);
  const CollectReport report = collect_imatrix(model, text, args.options, args.out, args.existing());
  keep.reset();
  if (own_text) std::filesystem::remove(kept);
  print(args, collected_text(args.out, args.options.chunk_tokens, report),
        collected_json(args.out, args.options.chunk_tokens, report));
  return 0;
}

int run(Args& args) {
  args.common.apply();
  args.memory.apply();
  const int tasks = !args.model.empty() + !args.merge.empty() + !args.statistics.empty();
  if (tasks != 1) refuse_usage("name a MODEL, or --merge FILES, or --statistics FILE", "see --help");
  if (!args.statistics.empty()) return show_statistics(args);
  if (args.out.empty()) refuse_usage("no output named", "add -o OUT.gguf");
  return args.merge.empty() ? collect(args) : merge(args);
}

void add_text(CLI::App& command, Args& args) {
  command
      .add_option("-f,--file,--calib", args.source.text,
                  "calibration text, UTF-8; `self`: what the model writes itself; `built-in`: one that comes with snug")
      ->type_name("FILE");
  command
      .add_option("--chunk", args.chunk, "tokens of a chunk (default: 512, or the model's context if less)")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 20));
  command.add_option("--chunks", args.options.chunks, "chunks to use, at most; 0: the whole text")
      ->check(at_least(0))
      ->capture_default_str();
  command
      .add_option("--skip-chunks", args.options.skip_chunks,
                  "chunks to leave to another run; join with --merge")
      ->check(at_least(0));
  command.add_option("--self-tokens", args.source.self.tokens, "with --calib self: tokens to write")
      ->check(CLI::Range(int64_t{16}, int64_t{1} << 30))
      ->capture_default_str();
  command.add_option("--seed", args.source.self.seed, "with --calib self: another seed gives another text")
      ->capture_default_str();
  command.add_option("--temperature", args.source.self.temperature, "with --calib self")
      ->check(CLI::Range(0.0f, 10.0f))
      ->capture_default_str();
}

void add_collecting(CLI::App& command, Args& args) {
  command.add_flag("--output-weights,--process-output", args.options.output,
                   "also the output matrix (the token embedding where it is that)");
  command.add_flag("--collect-hessians", args.options.full,
                   "also the second moments of each input, for error feedback: n x n values");
  command.add_flag("--full", args.options.full)->group("");
  command
      .add_option("--hessian-width", args.options.full_width,
                  "with --collect-hessians: inputs wider than that get none; 16384 columns are 1 GiB")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 20))
      ->capture_default_str();
  command.add_option("--full-width", args.options.full_width)->group("")->check(CLI::Range(int64_t{1}, int64_t{1} << 20));
  args.memory.add_to(command);
  command.add_option("--compute", args.compute, "how the model is run: exact gives the same file anywhere")
      ->check(CLI::IsMember({"exact", "fast"}))
      ->capture_default_str();
  command.add_option("--save-every", args.options.save_seconds, "seconds between two saves of what is done")
      ->check(CLI::Range(0.001, 1e6))
      ->capture_default_str();
}

}  // namespace

void add_imatrix(CLI::App& app, int& exit_code) {
  auto args = std::make_shared<Args>();
  auto* command = app.add_subcommand("imatrix", "collect the importance of every input column from a text");
  command->add_option("MODEL", args->model, "GGUF file (of a split model the first)");
  command
      ->add_option("-o,--out", args->out, "the imatrix to write: GGUF, or the legacy form if it ends in .dat")
      ->type_name("FILE");
  command->add_flag("--force", args->force, "replace an existing output");
  add_text(*command, *args);
  add_collecting(*command, *args);
  command->add_option("--merge", args->merge, "add up imatrix files of one model instead")->type_name("FILE");
  command->add_option("--statistics", args->statistics, "show what an imatrix says of each tensor instead")
      ->type_name("FILE");
  args->common.add_to(*command);
  command->footer(
      "Stopped at any instant, the same command goes on where it was.\n"
      "Examples:\n"
      "  snug imatrix model-f16.gguf -f calibration.txt --output-weights -o imatrix.gguf\n"
      "  snug imatrix model-f16.gguf --calib self -o imatrix.gguf\n"
      "  snug imatrix --merge part-1.gguf part-2.gguf -o imatrix.gguf\n"
      "  snug imatrix --statistics imatrix.gguf");
  command->callback([args, &exit_code] {
    exit_code = guarded_job({"imatrix", args->model, args->out}, [&] { return run(*args); });
  });
}

}  // namespace snug::cli
