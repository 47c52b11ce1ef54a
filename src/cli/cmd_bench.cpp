#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/events.hpp"
#include "base/json_reader.hpp"
#include "base/memory.hpp"
#include "base/parallel.hpp"
#include "base/str.hpp"
#include "base/units.hpp"
#include "cli/commands.hpp"
#include "cli/common.hpp"
#include "cli/text/text_table.hpp"
#include "eval/roofline.hpp"
#include "snug/error.hpp"

namespace snug::cli {
namespace {

struct BenchArgs {
  CommonArgs common;
  std::string model, cache_type;
  int64_t prompt = 512, decode = 128;
  int repeats = 3;
  bool exact = false, no_repack = false;
};

/// One figure and what stands beside it.
struct Measured {
  std::string name;
  std::vector<double> tokens_per_second;  // one a repetition
  double limit = 0;                       // tokens per second the machine could do at best
  std::string limited_by;

  double median() const {
    std::vector<double> sorted = tokens_per_second;
    std::ranges::sort(sorted);
    return sorted[sorted.size() / 2];
  }
};

std::string table(const std::vector<Measured>& all) {
  std::string text = str(left("", 16), right("tokens/s", 10), right("from", 10), right("to", 10),
                         right("limit", 10), right("of it", 8), "  limited by\n");
  for (const Measured& m : all) {
    const auto [least, most] = std::ranges::minmax(m.tokens_per_second);
    text += str(left(m.name, 16), right(fixed(m.median(), 1), 10), right(fixed(least, 1), 10),
                right(fixed(most, 1), 10), right(fixed(m.limit, 1), 10),
                right(str(fixed(100 * m.median() / m.limit, 0), " %"), 8), "  ", m.limited_by, "\n");
  }
  text.pop_back();
  return text;
}

nlohmann::json json_of(const BenchArgs& args, bool repacked, const std::vector<Measured>& all) {
  nlohmann::json out{{"model", args.model},
                     {"threads", threads()},
                     {"compute", args.exact ? "exact" : "fast"},
                     {"repacked", repacked}};
  for (const Measured& m : all)
    out["results"].push_back({{"name", m.name},
                              {"tokens_per_second", m.median()},
                              {"repetitions", m.tokens_per_second},
                              {"limit", m.limit},
                              {"limited_by", m.limited_by}});
  return out;
}

int run_bench(const BenchArgs& args) {
  args.common.apply();
  keep_freed_memory();
  if (args.model.empty()) throw Error{"no model", "", "snug bench MODEL, or snug bench encode", Fault::usage};
  if (args.prompt == 0 && args.decode == 0)
    throw Error{"nothing to measure", "", "give -p or -n more than 0", Fault::usage};
  infer::Model model{open_model(args.model)};
  infer::Session session{model,
                         {.context = std::max(args.prompt, args.decode),
                          .cache = cache_format_of(args.cache_type, FormatId::f16),
                          .compute = args.exact ? infer::Compute::exact : infer::Compute::fast}};
  const bool repacked = prepare_weights(model, !args.exact && !args.no_repack, session.memory_bytes(),
                                        "for every token of decoding");
  infer::time_decode(session,
                     std::min<int64_t>(2, std::max(args.prompt, args.decode)));  // brings the weights in
  Measured prompt{str("prompt ", args.prompt), {}, 0, {}}, decode{str("decode ", args.decode), {}, 0, {}};
  double bytes = 0, operations = 0;  // the machine's best, per second, measured in turn with the model
  for (int r = 0; r < args.repeats; ++r) {
    check_cancelled();
    if (args.prompt > 0)
      prompt.tokens_per_second.push_back(static_cast<double>(args.prompt) /
                                         infer::time_prompt(session, args.prompt));
    if (args.decode > 0)
      decode.tokens_per_second.push_back(static_cast<double>(args.decode) /
                                         infer::time_decode(session, args.decode));
    bytes = std::max(bytes, infer::read_bytes_per_second());
    operations = std::max(operations, args.exact ? infer::real_operations_per_second()
                                                 : infer::integer_operations_per_second());
  }
  const infer::Work work = infer::work_of(model);
  prompt.limit = operations / static_cast<double>(work.prompt_operations);
  prompt.limited_by = str("arithmetic, ", fixed(operations * 1e-9, 0), " Gop/s");
  decode.limit = bytes / static_cast<double>(work.decode_bytes);
  decode.limited_by = str("reading ", fixed(static_cast<double>(work.decode_bytes) * 1e-6, 1),
                          " MB a token, ", fixed(bytes * 1e-9, 1), " GB/s");
  std::vector<Measured> all;
  if (args.prompt > 0) all.push_back(prompt);
  if (args.decode > 0) all.push_back(decode);
  print_out(args.common.json ? json_text(json_of(args, repacked, all), 2) : table(all));
  return 0;
}

}  // namespace

void add_bench(CLI::App& app, int& exit_code) {
  auto args = std::make_shared<BenchArgs>();
  auto* command = app.add_subcommand("bench", "tokens per second, beside what the machine could do at best");
  command->add_option("MODEL", args->model, "GGUF file (of a split model the first)");
  command->add_option("-p,--prompt", args->prompt, "tokens processed at once; 0: leave out")
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str();
  command->add_option("-n,--tokens", args->decode, "tokens processed one by one; 0: leave out")
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str();
  command->add_option("-r,--repeat", args->repeats, "repetitions, which take turns; the median counts")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  add_cache_type(*command, args->cache_type);
  command->add_flag("--exact", args->exact, "in 32-bit floats in one fixed order");
  add_no_repack(*command, args->no_repack);
  args->common.add_to(*command);
  command->footer(
      "The limits are measured in the same run: reading memory for decoding (what stays in the caches\n"
      "passes it), multiply-adds on registers for the prompt.\n"
      "Examples:\n"
      "  snug bench model.gguf\n"
      "  snug bench model.gguf -p 0 -n 128 --threads 4");
  add_bench_encode(*command, exit_code);
  command->callback([args, command, &exit_code] {
    if (command->get_subcommands().empty())
      exit_code = guarded([&] { return run_bench(*args); }, Keeps::nothing);
  });
}

}  // namespace snug::cli
