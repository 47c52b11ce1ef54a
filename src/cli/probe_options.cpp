#include "cli/probe_options.hpp"

#include <algorithm>
#include <fstream>
#include <iterator>

#include "base/progress.hpp"
#include "base/str.hpp"
#include "base/units.hpp"
#include "gguf/reader.hpp"
#include "infer/tokenizer.hpp"
#include "snug/error.hpp"

namespace snug::cli {
namespace {

std::string read_text(const std::string& path) {
  std::ifstream in{path, std::ios::binary};
  std::string text{std::istreambuf_iterator<char>{in}, {}};
  if (!in.good() && !in.eof()) throw io_error("read the text", path);
  return text;
}

bool is_known(const gguf::Reader& model) {
  const auto known = infer::known_architectures();
  return std::ranges::find(known, model.text("general.architecture").value_or("")) != known.end();
}

}  // namespace

void ProbeArgs::add_to(CLI::App& command) {
  command
      .add_option("--probe", text,
                  "text on which to measure what each tensor does to the output: much better plans")
      ->check(CLI::ExistingFile);
  command.add_option("--probe-chunks", chunks, "chunks of the text to use, at most")
      ->check(CLI::Range(2, 100000))
      ->capture_default_str();
  command.add_option("--probe-context", context, "tokens of a chunk, at most the model's context")
      ->check(CLI::Range(16, 1 << 20))
      ->capture_default_str();
}

std::optional<ProbeResults> ProbeArgs::apply(Profile& profile, const std::string& model_path,
                                             const Importance* importance, Store& state) const {
  if (text.empty()) return std::nullopt;
  if (const gguf::Reader file{model_path}; !is_known(file)) {
    notice(str("--probe: the forward pass of '", file.text("general.architecture").value_or("?"),
               "' is not known; the plan rests on priors by role and position"));
    return std::nullopt;
  }
  const infer::Model model{model_path};
  const infer::Tokenizer tokenizer{model.file()};
  ProbeOptions options;
  options.chunks = chunks;
  options.context = context;
  if (tokenizer.adds_bos() && tokenizer.bos() >= 0) options.bos = tokenizer.bos();
  const ProbeResults results =
      probe(model, importance, state, tokenizer.encode(read_text(text), true, false), options);
  apply_probes(profile, results);
  std::string line = str("probed ", results.tensors.size(), " tensors: ", results.measured, " runs, ",
                         results.reused, " known");
  if (results.forward_passes > 0)
    line += str(", in ", show_duration(results.seconds), ", the time of ",
                static_cast<int64_t>(results.forward_passes + 0.5), " passes over the text");
  notice(line);
  return results;
}

}  // namespace snug::cli
