#include "cli/options/options.hpp"

#include <charconv>

#include "base/str.hpp"
#include "base/units.hpp"
#include "cli/options/groups.hpp"
#include "fit/measurements.hpp"
#include "recipe/target.hpp"
#include "snug/error.hpp"

namespace snug::cli {
namespace {

/// "i/n", 0 <= i < n.
void parse_shard(const std::string& text, MeasureOptions& options) {
  const char* end = text.data() + text.size();
  const auto [slash, bad_shard] = std::from_chars(text.data(), end, options.shard);
  const bool first = bad_shard == std::errc{} && slash != end && *slash == '/';
  const auto [rest, bad_count] = first ? std::from_chars(slash + 1, end, options.shards)
                                       : std::from_chars_result{end, std::errc::invalid_argument};
  if (!first || bad_count != std::errc{} || rest != end || options.shard < 0 || options.shard >= options.shards)
    throw Error{str("'", text, "' is not a shard"), "--shard", "write i/n with 0 <= i < n, e.g. 0/4 to 3/4", Fault::usage};
}

/// The spelling of an earlier version: it works, and help does not show it.
template <class Value>
CLI::Option* add_old_spelling(CLI::App& command, const std::string& name, Value& value) {
  return command.add_option(name, value)->group("");
}

}  // namespace

void ModelArgs::add_to(CLI::App& command) {
  command.add_option("MODEL", model,
                     "a model in F32, F16 or BF16: a GGUF file (of a split one the first), or the folder of a Hugging Face "
                     "checkpoint")
      ->required();
  add_imatrix_to(command);
}

void ModelArgs::add_imatrix_to(CLI::App& command) {
  under(command, kWhat)
      .add_option("--imatrix", imatrix, "importance of each input column: a GGUF or legacy imatrix file")
      ->type_name("FILE");
}

void ModelArgs::add_moments_to(CLI::App& command) {
  under(command, kWhat)
      .add_option("--hessians", moments,
                  "second moments of inputs, for error feedback: an imatrix made by `snug imatrix "
                  "--collect-hessians` or by `snug fit` (default: those of --imatrix)")
      ->type_name("FILE");
  add_old_spelling(command, "--moments", moments);
}

void add_fold_to(CLI::App& command, bool& fold) {
  command.add_flag("--fold", fold,
                   "move a factor for each channel between tensors first (as AWQ does), wherever a sample of their rows "
                   "then loses less; the model computes the same");
}

void CalibrationArgs::add_to(CLI::App& command) {
  under(command, kRun)
      .add_option("--calib", calib,
                  "text on which the model is run to measure what each tensor does to the output; 'self' lets the "
                  "model write it; 'built-in' is one that comes with snug (default: self; built-in where the model is "
                  "larger than memory)")
      ->type_name("FILE");
  command.add_flag("--no-probe", no_probe, "do not run the model: weigh tensors by role and position");
  command
      .add_option("--probe", probe,
                  "forward: run the model once for every tensor; reverse: a reverse pass tells of all tensors and "
                  "formats at once, and the few that matter most are run as well; auto: forward where that takes at "
                  "most five minutes of a core")
      ->check(CLI::IsMember({"auto", "forward", "reverse"}))
      ->capture_default_str();
  command
      .add_option("--calib-chunks", chunks,
                  "chunks of the text to measure on, at most; fit judges by as many again")
      ->check(CLI::Range(2, 100000))
      ->capture_default_str();
  command.add_option("--calib-ctx", context, "tokens of a chunk, at most the model's context")
      ->check(CLI::Range(16, 1 << 20))
      ->capture_default_str();
  add_old_spelling(command, "--probe-chunks", chunks)->check(CLI::Range(2, 100000));
  add_old_spelling(command, "--probe-context", context)->check(CLI::Range(16, 1 << 20));
}

OutputGuard guard_for(Existing existing, const ModelArgs& model, const std::string& text,
                      const std::string& out, int64_t split_bytes, const std::string& runtime) {
  return snug::guard_for(existing, model.model, model.files(), text, out, split_bytes, runtime);
}

CalibrationRequest CalibrationArgs::request() const {
  const Probing how = probe == "reverse"   ? Probing::reverse
                      : probe == "forward" ? Probing::forward
                                           : Probing::automatic;
  return {!no_probe, calib, chunks, context, how};
}

void MeasureArgs::add_to(CLI::App& command, bool with_shard) {
  std::string runtimes;
  for (const std::string_view name : target_names()) runtimes += str(runtimes.empty() ? "" : " or ", name);
  under(command, kWhere)
      .add_option("--state", state, "where measurements are kept (default: one place for all models, ~/.local/state/snug, or $SNUG_HOME)")
      ->type_name("FILE");
  under(command, kHow);
  command.add_option("--precision", precision, "wanted relative standard error of each measured error")
      ->check(CLI::Range(1e-4, 0.5))
      ->capture_default_str();
  command.add_option("--formats", formats, "only these, comma-separated (default: all the runtime loads)")
      ->type_name("LIST");
  command.add_option("--runtime", runtime, str("program that will load the output: ", runtimes))
      ->type_name("NAME")
      ->capture_default_str();
  command.add_option("--effort", effort, "how hard encoders search")
      ->check(CLI::IsMember({"normal", "max"}))
      ->capture_default_str();
  command.add_flag("--allow-requantize", allow_requantize, "accept a source that is quantized already");
  if (with_shard)
    command.add_option("--shard", shard, "measure part i of n, e.g. 0/4; join with `snug state merge`")
        ->type_name("I/N");
}

MeasureOptions MeasureArgs::options() const {
  MeasureOptions options;
  options.precision = precision;
  options.effort = parse_effort(effort);
  options.formats = formats;
  options.runtime = runtime;
  options.allow_requantize = allow_requantize;
  if (!shard.empty()) parse_shard(shard, options);
  return options;
}

std::filesystem::path MeasureArgs::state_path(const ModelSource& model) const {
  return state.empty() ? measurements_of(model, ".") : std::filesystem::path{state};
}

void PlanArgs::add_to(CLI::App& command, bool several) {
  const std::string also = several ? "; several with commas" : "";
  under(command, kWhat);
  command.add_option("--size", sizes, "largest size of the whole output, e.g. 11GB, 11GiB or bytes" + also)
      ->type_name("SIZE")
      ->delimiter(',')
      ->allow_extra_args(false);
  command.add_option("--bpw", bpws, "most bits per weight, counted over all tensors" + also)
      ->type_name("N")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->excludes("--size");
  under(command, kWishes);
  command.add_option("--pin", rules.pins, "tensors it finds get that format (repeatable)")
      ->type_name("REGEX=FORMAT")
      ->allow_extra_args(false);
  command.add_option("--min", rules.mins, "no fewer bits per weight than FORMAT has")
      ->type_name("[REGEX=]FORMAT")
      ->allow_extra_args(false);
  command.add_option("--max", rules.maxs, "no more bits per weight than FORMAT has")
      ->type_name("[REGEX=]FORMAT")
      ->allow_extra_args(false);
  command.add_option("--group", rules.groups, "matching tensors with equal capture groups get one format")
      ->type_name("REGEX")
      ->allow_extra_args(false);
  command.add_option("--cap", caps, "cap the total size of matching tensors")
      ->type_name("REGEX=SIZE")
      ->allow_extra_args(false);
  command.add_option("--max-formats", max_formats, "use at most N distinct formats")->check(CLI::Range(1, 64));
  command.add_option("--active-size", active_size, "most bytes read per token (experts count by their share)")
      ->type_name("SIZE");
  under(command, kWhere)
      .add_option("--split-size", split_size, "write files of at most this size each, e.g. 5GB")
      ->type_name("SIZE");
  under(command, kHow).add_option("--solve-seconds", seconds, "most time for the solver")->check(CLI::Range(0.01, 1e6))->capture_default_str();
}

PlanOptions PlanArgs::options() const {
  PlanOptions options;
  if (const auto all = budgets(); !all.empty()) options.budget = all.front().budget;
  options.rules = rules;
  options.caps = caps;
  options.max_formats = max_formats;
  if (!active_size.empty()) options.active_bytes = parse_size(active_size);
  if (!split_size.empty()) options.split_bytes = parse_size(split_size);
  options.seconds = seconds;
  return options;
}

Effort parse_effort(const std::string& text) {
  if (text == "normal") return Effort::normal;
  if (text == "max") return Effort::max;
  throw Error{str("unknown effort '", text, "'"), "--effort", "normal or max", Fault::usage};
}

}  // namespace snug::cli
