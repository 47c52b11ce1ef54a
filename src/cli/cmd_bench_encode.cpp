#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/events.hpp"
#include "base/json_reader.hpp"
#include "base/str.hpp"
#include "cli/commands.hpp"
#include "cli/common.hpp"
#include "encode/encode_compare.hpp"
#include "snug/error.hpp"

namespace snug::cli {
namespace {

struct BenchEncodeArgs {
  CommonArgs common;
  EncodeComparison comparison;
  std::string formats;
  bool no_max = false;
};

std::vector<std::string> known_formats(const std::string& list) {
  std::vector<std::string> names;
  std::istringstream in{list};
  for (std::string name; std::getline(in, name, ',');) {
    if (!find_format(name))
      throw Error{str("no format '", name, "'"), "--formats", "see snug codec", Fault::usage};
    names.push_back(name);
  }
  return names;
}

/// A figure that there is none of (nothing to compare with) is left out.
nlohmann::ordered_json json_of(const std::vector<EncodeFigures>& all) {
  nlohmann::ordered_json out = nlohmann::ordered_json::array();
  for (const EncodeFigures& f : all) {
    nlohmann::ordered_json one{{"format", f.format}};
    const auto add = [&](const char* name, double value) {
      if (value > 0) one[name] = value;
    };
    add("error_plain", f.plain_ratio);
    add("error_importance", f.weighted_ratio);
    add("error_worst", f.worst_ratio);
    add("error_plain_max", f.plain_ratio_max);
    add("error_importance_max", f.weighted_ratio_max);
    add("error_floor_plain", f.plain_floor);
    add("error_floor_importance", f.weighted_floor);
    add("million_weights_per_second", f.speed);
    add("speed_ratio", f.speed_ratio);
    add("million_weights_per_second_plain", f.plain_speed);
    add("speed_ratio_plain", f.plain_speed_ratio);
    add("million_weights_per_second_max", f.speed_max);
    out.push_back(one);
  }
  return out;
}

int run_bench_encode(BenchEncodeArgs& args) {
  args.common.apply();
  args.comparison.max = !args.no_max;
  args.comparison.formats = known_formats(args.formats);
  const std::vector<EncodeFigures> figures = compare_encoders(args.comparison);
  print_out(args.common.json ? json_text(json_of(figures), 2) : to_markdown(figures));
  return 0;
}

}  // namespace

void add_bench_encode(CLI::App& bench, int& exit_code) {
  auto args = std::make_shared<BenchEncodeArgs>();
  EncodeComparison& c = args->comparison;
  auto* command =
      bench.add_subcommand("encode", "error and speed of every encoder, beside ggml's where it is given");
  command->add_option("--model", c.models, "GGUF files in f16 or f32 whose rows join the synthetic ones")
      ->type_name("FILE")
      ->check(CLI::ExistingFile);
  command->add_option("--imatrix", c.importances, "their imatrix files, in the same order")
      ->type_name("FILE")
      ->check(CLI::ExistingFile);
  command->add_option("--ggml", c.ggml, "libggml-base.so, or the folder it is in")
      ->type_name("PATH")
      ->check(CLI::ExistingPath);
  command->add_option("--formats", args->formats, "only these, comma-separated")->type_name("LIST");
  command->add_option("--rows", c.rows, "rows of each set of data")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  command->add_option("-r,--repeat", c.repeats, "timings, of which the median counts")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  command->add_flag("--no-max", args->no_max, "leave the greater effort out");
  command->add_flag("--floor", c.floor,
                    "the least error any encoder could reach, by trying every scale (with --ggml; slow)");
  args->common.add_to(*command);
  command->footer(
      "One thread. Errors are ours over ggml's on the same rows, geometric means over the sets of data "
      "(Student-t,\n"
      "outlier columns, rows of the models); \"worst\" is the largest of any. Speeds are taken in turn on "
      "Student-t rows.\n"
      "Example:\n"
      "  snug bench encode --ggml llama.cpp/build/bin --model model-f16.gguf --imatrix imatrix.gguf --rows "
      "24");
  command->callback([args, &exit_code] { exit_code = guarded([&] { return run_bench_encode(*args); }); });
}

}  // namespace snug::cli
