#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <iterator>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>

#include "base/files/atomic_file.hpp"
#include "base/files/output_guard.hpp"
#include "base/files/read_file.hpp"
#include "base/json_reader.hpp"
#include "base/memory.hpp"
#include "base/printable.hpp"
#include "base/progress.hpp"
#include "base/str.hpp"
#include "cli/commands.hpp"
#include "cli/common.hpp"
#include "cli/eval_tasks.hpp"
#include "cli/options/memory_option.hpp"
#include "cli/options/whole_number.hpp"
#include "cli/text/eval_report.hpp"
#include "eval/evaluate.hpp"
#include "eval/same_tokens.hpp"
#include "infer/tokenizer/tokenizer.hpp"
#include "snug/error.hpp"
#include "source/open_model.hpp"

namespace snug::cli {
namespace {

using namespace infer;

constexpr size_t kWorstShown = 10;
constexpr int64_t kWordsBefore = 12;  // tokens of context shown with each

struct EvalArgs {
  CommonArgs common;
  MemoryOption memory;
  std::string model, text, token_file, base, base_logits, save_logits, logits, task, cache_type;
  std::vector<int32_t> tokens;
  int64_t context = 256, chunks = 0;
  std::string compute = "exact";
  bool force = false;
  CLI::Option* context_given = nullptr;

  Existing existing() const { return force ? Existing::replace : Existing::refuse; }

  bool is_fast() const { return compute == "fast"; }
  /// Fast as llama.cpp computes: keys and values in f16 too.
  SessionOptions session(int64_t positions) const {
    return {.context = positions,
            .cache = cache_format_of(cache_type, is_fast() ? FormatId::f16 : FormatId::f32),
            .compute = is_fast() ? Compute::fast : Compute::exact};
  }
};

/// The model's tokenizer; none where the file has none, or (if it is not
/// needed) one that is not known.
std::optional<Tokenizer> tokenizer_of(const ModelSource& file, bool needed) {
  if (needed) return Tokenizer{file};
  try {
    return Tokenizer{file};
  } catch (const Error&) {
    return {};
  }
}

/// The token every chunk starts with, where the vocabulary wants one.
std::optional<int32_t> bos_of(const std::optional<Tokenizer>& tokenizer) {
  if (!tokenizer || !tokenizer->adds_bos() || tokenizer->bos() < 0) return {};
  return tokenizer->bos();
}

std::vector<int32_t> read_token_file(const std::string& path) {
  std::istringstream in{read_text(path)};
  std::vector<int32_t> tokens{std::istream_iterator<int32_t>{in}, {}};
  if (!in.eof())
    throw Error{str("entry ", tokens.size() + 1, " is not a token id"), path,
                "the file is to hold decimal numbers with spaces or line ends between "
                "them"};
  return tokens;
}

/// --tokens with --logits: the raw logits of every position as little-endian
/// f32.
int write_logits(const EvalArgs& args) {
  const Model model{open_model(args.model)};
  Session session{model, args.session(static_cast<int64_t>(args.tokens.size()))};
  const Activations logits = session.forward(args.tokens);
  AtomicFile file{args.logits, args.existing(), static_cast<int64_t>(logits.values().size_bytes())};
  file.write(std::as_bytes(logits.values()));
  file.commit();
  return 0;
}

void tell_of_length(const Model& model, int64_t chunk) {
  if (const int64_t trained = model.hparams().context; trained > 0 && chunk > trained)
    log_line(str("chunks of ", chunk, " tokens are longer than the context of ", trained,
                 " that the model was trained for"));
}

/// Running figures as a progress line.
class Watch {
 public:
  Watch(const Chunks& chunks, int64_t count)
      : chunks_{chunks}, progress_{"evaluating", count, Progress::Unit::items} {}
  AfterChunk callback() {
    return [this](int64_t chunk) { progress_.advance(1, str("chunk ", chunk + 1, " of ", chunks_.count())); };
  }

 private:
  const Chunks& chunks_;
  Progress progress_;
};

/// What the tokens say, for the eye.
void add_text(const Chunks& chunks, const Tokenizer& tokenizer, WorstToken& worst) {
  const std::span<const int32_t> chunk = chunks.chunk(worst.chunk);
  for (int64_t i = std::max<int64_t>(0, worst.position - kWordsBefore); i < worst.position; ++i)
    worst.before += tokenizer.piece(chunk[static_cast<size_t>(i)], true);
  worst.text = tokenizer.piece(worst.token, true);
  worst.base_text = tokenizer.piece(worst.base_choice, true);
  worst.model_text = tokenizer.piece(worst.model_choice, true);
}

void fill_worst(const Chunks& chunks, const std::vector<TokenPair>& pairs,
                const std::optional<Tokenizer>& tokenizer, EvalReport& report) {
  for (const size_t i : worst_tokens(pairs, kWorstShown)) {
    WorstToken worst;
    worst.chunk = static_cast<int64_t>(i) / chunks.scored();
    worst.position = chunks.first() + static_cast<int64_t>(i) % chunks.scored() + 1;
    worst.token = chunks.chunk(worst.chunk)[static_cast<size_t>(worst.position)];
    worst.model_choice = pairs[i].model.likeliest;
    worst.base_choice = pairs[i].base.likeliest;
    worst.kl = static_cast<double>(pairs[i].divergence);
    if (tokenizer) add_text(chunks, *tokenizer, worst);
    report.worst.push_back(std::move(worst));
  }
}

void fill(const Chunks& chunks, const std::vector<TokenPair>& pairs,
          const std::optional<Tokenizer>& tokenizer, EvalReport& report) {
  report.compared = true;
  report.divergence = summarise(pairs);
  report.perplexity = report.divergence.model;
  fill_worst(chunks, pairs, tokenizer, report);
}

void evaluate_against_file(const EvalArgs& args, const Model& model, EvalReport& report) {
  const BaseLogits base{args.base_logits};
  const Chunks& chunks = base.chunks();
  if (args.context_given->count() && args.context != chunks.context)
    throw Error{str("the base logits were made with a context of ", chunks.context, ", not ", args.context),
                args.base_logits, "leave --ctx out", Fault::usage};
  report.context = chunks.context;
  report.chunks = args.chunks > 0 ? std::min(args.chunks, chunks.count()) : chunks.count();
  report.base = args.base_logits;
  tell_of_length(model, chunks.context);
  Session session{model, args.session(chunks.context)};
  Watch watch{chunks, report.chunks};
  const std::optional<Tokenizer> tokenizer = tokenizer_of(model.source(), false);
  fill(chunks, compare_chunks(session, base, report.chunks, bos_of(tokenizer), watch.callback()), tokenizer,
       report);
}

void evaluate_text(const EvalArgs& args, const Model& model, EvalReport& report) {
  const std::optional<Tokenizer> tokenizer = tokenizer_of(model.source(), !args.text.empty());
  report.text = args.text.empty() ? args.token_file : args.text;
  const Chunks chunks =
      cut_into_chunks(args.text.empty() ? read_token_file(args.token_file)
                                        : tokenizer->encode(read_text(args.text), true, false),
                      args.context, args.chunks, report.text);
  report.context = chunks.context;
  report.chunks = chunks.count();
  tell_of_length(model, chunks.context);
  const std::optional<int32_t> bos = bos_of(tokenizer);
  std::optional<BaseLogitsWriter> save;
  if (!args.save_logits.empty()) save.emplace(args.save_logits, args.existing(), chunks, model.vocabulary());
  BaseLogitsWriter* saved = save ? &*save : nullptr;
  Session session{model, args.session(chunks.context)};
  Watch watch{chunks, report.chunks};
  if (args.base.empty()) {
    report.perplexity = summarise(score_chunks(session, chunks, bos, saved, watch.callback()));
  } else {
    const Model original{open_model(args.base)};
    check_same_tokens(model.source(), original.source());
    Session base{original, args.session(chunks.context)};
    report.base = args.base;
    fill(chunks, compare_chunks(session, base, chunks, bos, saved, watch.callback()), tokenizer, report);
  }
  if (save) save->commit();
}

int run_eval(const EvalArgs& args) {
  args.common.apply();
  args.memory.apply();
  OutputGuard{args.existing()}
      .reads(model_files(args.model))
      .reads(model_files(args.base))
      .reads({args.text, args.token_file, args.base_logits})
      .writes(args.save_logits)
      .writes(args.logits)
      .check();
  keep_freed_memory();
  if (!args.logits.empty()) return write_logits(args);
  if (!args.task.empty()) {
    evaluate_tasks({args.model, args.task, args.text, args.chunks, args.session(0), args.common.json});
    return 0;
  }
  if (args.text.empty() && args.token_file.empty() && args.base_logits.empty())
    throw Error{"nothing to evaluate on", "", "give a text (-f), a --token-file or --base-logits",
                Fault::usage};
  const auto start = std::chrono::steady_clock::now();
  EvalReport report;
  report.model = args.model;
  const Model model{open_model(args.model)};
  if (!args.base_logits.empty())
    evaluate_against_file(args, model, report);
  else
    evaluate_text(args, model, report);
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  print_out(args.common.json ? json_text(eval_json(report), 2) : eval_table(report));
  return 0;
}

void add_options(CLI::App& cmd, EvalArgs& args) {
  cmd.add_option("MODEL", args.model, "GGUF file (of a split model the first)")->required();
  auto* text = cmd.add_option("-f,--file", args.text, "text to evaluate on")->type_name("FILE");
  auto* token_file = cmd.add_option("--token-file", args.token_file,
                                    "the same as token ids, with spaces or line ends between them")
                         ->type_name("FILE");
  auto* base = cmd.add_option("--base", args.base, "the original: also say how far MODEL is from it")
                   ->type_name("MODEL");
  auto* base_logits = cmd.add_option("--base-logits", args.base_logits,
                                     "the original's logits, as --save-logits or llama-perplexity wrote them")
                          ->type_name("FILE");
  auto* save =
      cmd.add_option("--save-logits", args.save_logits, "write the logits of the original (or of MODEL) here")
          ->type_name("FILE");
  args.context_given = cmd.add_option("--ctx", args.context, "tokens in a chunk; the second half is scored")
                           ->check(CLI::Range(4, 1 << 24))
                           ->capture_default_str();
  cmd.add_option("--chunks", args.chunks, "stop after so many; 0 is all")->check(at_least(0));
  auto* tokens =
      cmd.add_option("--tokens", args.tokens, "token ids 1,2,3: only write --logits of every position")
          ->type_name("IDS")
          ->delimiter(',')
          ->check(at_least(0));
  auto* logits =
      cmd.add_option("--logits", args.logits, "where to: f32, [tokens, vocabulary]")->type_name("FILE");
  cmd.add_option(
         "--compute", args.compute,
         "exact: 32-bit activations, same figures everywhere; fast: activations in 8 bits, figures as "
         "llama.cpp gives them")
      ->check(CLI::IsMember({"exact", "fast"}))
      ->capture_default_str();
  auto* task =
      cmd.add_option("--task", args.task,
                     "score the tasks in -f, one JSON object a line, as llama.cpp does; --chunks is tasks")
          ->check(CLI::IsMember({"hellaswag", "arc", "mmlu", "truthfulqa", "winogrande", "choices"}));
  add_cache_type(cmd, args.cache_type);
  args.memory.add_to(cmd);
  cmd.add_flag("--force", args.force, "replace existing files");
  task->needs(text)->excludes(token_file, base, base_logits, save, tokens, args.context_given);
  text->excludes(token_file);
  base_logits->excludes(text, token_file, base, save);
  tokens->needs(logits)->excludes(text, token_file, base, base_logits, save);
  logits->needs(tokens);
}

}  // namespace

void add_eval(CLI::App& app, int& exit_code) {
  auto args = std::make_shared<EvalArgs>();
  auto* cmd = app.add_subcommand("eval", "perplexity, and KL divergence from a reference model");
  add_options(*cmd, *args);
  args->common.add_to(*cmd);
  cmd->footer(
      "Examples:\n"
      "  snug eval out.gguf -f text.txt --base model-f16.gguf\n"
      "  snug eval model-f16.gguf -f text.txt --save-logits base.logits\n"
      "  snug eval out.gguf --base-logits base.logits\n"
      "  snug eval out.gguf --task hellaswag -f tasks.jsonl --json");
  cmd->callback([args, &exit_code] {
    exit_code = guarded_job({"eval", args->model, ""}, [&] { return run_eval(*args); }, Keeps::nothing);
  });
}

}  // namespace snug::cli
