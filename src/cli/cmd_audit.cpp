#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "audit/audit.hpp"
#include "base/files/read_file.hpp"
#include "base/json_reader.hpp"
#include "base/printable.hpp"
#include "base/str.hpp"
#include "base/units.hpp"
#include "cli/commands.hpp"
#include "cli/common.hpp"
#include "cli/text/text_table.hpp"
#include "eval/evaluate.hpp"
#include "eval/same_tokens.hpp"
#include "infer/tokenizer/tokenizer.hpp"
#include "snug/error.hpp"

namespace snug::cli {
namespace {

using nlohmann::ordered_json;

struct AuditArgs {
  CommonArgs common;
  std::string model, base, text;
  int64_t context = 256, chunks = 16;
  bool modules = false;
};

/// How far the model is from what it was made from.
infer::Divergence divergence_of(const AuditArgs& args) {
  const infer::Model model{open_model(args.model)}, original{open_model(args.base)};
  infer::check_same_tokens(model.source(), original.source());
  const infer::Tokenizer tokenizer{model.source()};
  const infer::Chunks chunks = infer::cut_into_chunks(tokenizer.encode(read_text(args.text), true, false), args.context,
                                                      args.chunks, args.text);
  std::optional<int32_t> bos;
  if (tokenizer.adds_bos() && tokenizer.bos() >= 0) bos = tokenizer.bos();
  infer::Session ours{model, {.context = chunks.context}}, theirs{original, {.context = chunks.context}};
  return infer::summarise(infer::compare_chunks(ours, theirs, chunks, bos, nullptr, [](int64_t) {}));
}

std::string row(const std::string& name, const std::string& count, const AuditTotal& total, int64_t all_bytes) {
  const double share = all_bytes > 0 ? 100.0 * static_cast<double>(total.bytes) / static_cast<double>(all_bytes) : 0;
  return left(name, 12) + right(count, 9) + right(show_weights(total.weights), 11) + right(show_count(total.bytes), 17) +
         right(fixed(share, 1) + " %", 9) + right(fixed(total.bits_per_weight(), 4), 10) +
         right(fixed(total.raw_bits_per_weight(), 4), 10) + "\n";
}

std::string part_table(const Audit& audit) {
  const AuditTotal all = audit.total();
  std::string text = left("part", 12) + right("tensors", 9) + right("weights", 11) + right("bytes", 17) +
                     right("share", 9) + right("bits", 10) + right("raw bits", 10) + "\n";
  for (const std::string& part : audit.parts()) {
    const AuditTotal total = audit.of_part(part);
    text += row(part, show_count(total.tensors), total, all.bytes);
  }
  return text + row("all", show_count(all.tensors), all, all.bytes);
}

std::string module_table(const Audit& audit) {
  std::string text = left("tensor", 60) + left("format", 14) + right("weights", 11) + right("bytes", 16) + "\n";
  for (const AuditedTensor& tensor : audit.tensors)
    text += left(printable(tensor.name), 60) + left(tensor.format, 14) + right(show_weights(tensor.weights), 11) +
            right(show_count(tensor.bytes), 16) + "\n";
  return text;
}

std::string lines(const std::string& label, const std::vector<std::string>& sentences) {
  std::string text;
  for (const std::string& sentence : sentences) text += str(label, ": ", sentence, "\n");
  return text;
}

std::string audit_text(const Audit& audit, const AuditArgs& args, const std::optional<infer::Divergence>& divergence) {
  std::string text = str(audit.container, ", ", show_size(audit.file_bytes), "\n\n", part_table(audit), "\n");
  if (args.modules) text += module_table(audit) + "\n";
  text += str(fixed(audit.total().bits_per_weight(), 4), " bits per weight with scales and all tensors, ",
              fixed(audit.matrices().raw_bits_per_weight(), 4), " raw: codes of matrices alone\n");
  if (divergence)
    text += str("KL divergence from ", args.base, ": ", significant(divergence->kl.value), " +- ",
                significant(divergence->kl.error, 2), " nats per token over ", show_count(divergence->tokens), " tokens\n");
  text += lines("contradiction", audit.contradictions) + lines("remark", audit.remarks);
  return audit.contradictions.empty() ? text + "nothing contradicts its own configuration or card\n" : text;
}

ordered_json total_json(const AuditTotal& total) {
  return {{"tensors", total.tensors},
          {"weights", total.weights},
          {"bytes", total.bytes},
          {"bits_per_weight", total.bits_per_weight()},
          {"raw_bits_per_weight", total.raw_bits_per_weight()}};
}

ordered_json audit_json(const Audit& audit, const std::optional<infer::Divergence>& divergence) {
  auto parts = ordered_json::object();
  for (const std::string& part : audit.parts()) parts[part] = total_json(audit.of_part(part));
  auto tensors = ordered_json::array();
  for (const AuditedTensor& tensor : audit.tensors)
    tensors.push_back({{"name", printable(tensor.name)},
                       {"part", tensor.part},
                       {"format", tensor.format},
                       {"raw_bits", tensor.raw_bits},
                       {"weights", tensor.weights},
                       {"bytes", tensor.bytes}});
  ordered_json json{{"container", audit.container},
                    {"file_bytes", audit.file_bytes},
                    {"bits_per_weight", audit.total().bits_per_weight()},
                    {"raw_bits_per_weight", audit.matrices().raw_bits_per_weight()},
                    {"all", total_json(audit.total())},
                    {"parts", parts},
                    {"contradictions", audit.contradictions},
                    {"remarks", audit.remarks},
                    {"tensors", tensors}};
  if (divergence)
    json["kl"] = {{"value", divergence->kl.value}, {"error", divergence->kl.error}, {"tokens", divergence->tokens}};
  return json;
}

int run_audit(const AuditArgs& args) {
  args.common.apply();
  const Audit audit = audit_model(args.model);
  std::optional<infer::Divergence> divergence;
  if (!args.base.empty()) divergence = divergence_of(args);
  print_out(args.common.json ? json_text(audit_json(audit, divergence), 2) : audit_text(audit, args, divergence));
  return 0;
}

}  // namespace

void add_audit(CLI::App& app, int& exit_code) {
  auto args = std::make_shared<AuditArgs>();
  auto* command = app.add_subcommand("audit", "what a published quantized model really is, beside what it says it is");
  command->add_option("MODEL", args->model, "folder of MLX or a checkpoint, or a GGUF file")->required();
  command->add_flag("--modules", args->modules, "a line for every tensor, too");
  auto* base = command->add_option("--base", args->base, "what it was made from: also say the KL divergence from that");
  auto* text = command->add_option("-f,--file", args->text, "text to compare the two on");
  command->add_option("--ctx", args->context, "tokens in a chunk; the second half is scored")
      ->check(CLI::Range(4, 1 << 20))
      ->capture_default_str();
  command->add_option("--chunks", args->chunks, "compare so many chunks at most; 0 is all")
      ->check(CLI::Range(0, 1 << 30))
      ->capture_default_str();
  base->needs(text);
  text->needs(base);
  args->common.add_to(*command);
  command->footer("README.md beside the model is read as its card. A contradiction is a sentence or a setting that the\n"
                  "tensors do not bear out.\n"
                  "Examples:\n"
                  "  snug audit ./gemma-4-26b-a4b-it-4bit\n"
                  "  snug audit ./smollm2-4bit --base ./SmolLM2-135M -f text.txt --json");
  command->callback([args, &exit_code] { exit_code = guarded([&] { return run_audit(*args); }, Keeps::nothing); });
}

}  // namespace snug::cli
