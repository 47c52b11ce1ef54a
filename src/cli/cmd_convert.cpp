#include "artifact/artifact.hpp"
#include "artifact/convert_model.hpp"
#include "artifact/output_journal.hpp"
#include "base/digest.hpp"
#include "base/files/output_guard.hpp"
#include "base/str.hpp"
#include "base/units.hpp"
#include "cli/commands.hpp"
#include "cli/common.hpp"
#include "cli/options/options.hpp"
#include "cli/projector.hpp"
#include "recipe/target.hpp"
#include "snug/error.hpp"
#include "source/open_model.hpp"

namespace snug::cli {
namespace {

struct Args {
  CommonArgs common;
  std::string model, out, type = "source", runtime = "llama.cpp";
  ProjectorArgs projector;
  bool force = false;
};

ConvertOptions options_of(const Args& args, Existing existing) {
  const Format* type = args.type == "source" ? nullptr : find_format(args.type);
  return {.type = type ? std::optional{type->id} : std::nullopt, .existing = existing, .runtime = args.runtime};
}

/// What this call would write again.
Digest request_digest(const Args& args) {
  Hasher hasher;
  hasher.add("convert").add(SNUG_VERSION).add(args.type).add(args.runtime).add(args.projector.out);
  for (const auto& file : model_files(args.model)) add_file(hasher, file);
  return hasher.finish();
}

/// Files that a stopped call has put in place are looked at when the model is open.
void guard_all(const Args& args, const OutputJournal& journal) {
  const bool is_there = journal.known().is == OutputState::begun;
  OutputGuard guard{is_there ? Existing::replace : journal.existing()};
  guard.reads(model_files(args.model)).reads({args.model});
  guard_output(guard, args.out, 0, args.runtime);
  guard.check();
}

/// Leaves what a stopped call has put in place, if it is whole.
WrittenModel write(const Args& args, const ModelSource& model, const ConvertOptions& options, OutputJournal& journal) {
  const KnownOutput& known = journal.known();
  if (known.is == OutputState::begun && is_converted(model, known.written.files, options)) return known.written;
  return convert_model(model, args.out, options, &journal);
}

int run(const Args& args) {
  args.common.apply();
  const Existing asked = args.force ? Existing::replace : Existing::refuse;
  OutputJournal journal{args.out};
  journal.is_for(request_digest(args), asked);
  const ConvertOptions options = options_of(args, journal.existing());
  guard_all(args, journal);
  const ModelSource model = open_model(args.model);
  const Projector projector{args.projector, args.model, args.out, asked};
  const WrittenModel written = write(args, model, options, journal);
  projector.write();
  journal.end();
  if (args.common.json)
    print_out(str("{\"tensors\": ", model.tensors().size(), ", \"bytes\": ", written.bytes,
                  ", \"mmproj_bytes\": ", projector.bytes(), "}"));
  else
    print_out(str("wrote ", args.out, ", ", model.tensors().size(), " tensors, ", show_count(written.bytes), " bytes\n"));
  return 0;
}

}  // namespace

void add_convert(CLI::App& app, int& exit_code) {
  auto args = std::make_shared<Args>();
  auto* command = app.add_subcommand("convert", "write the checkpoint in a folder as a GGUF file, or for MLX");
  command->add_option("CHECKPOINT", args->model, "folder of a Hugging Face checkpoint, or a GGUF file")->required();
  command->add_option("-o,--out", args->out, "the GGUF, or for mlx the folder, to write")
      ->type_name("FILE")
      ->required();
  command
      ->add_option("--type", args->type, "of the matrices: f16, bf16, f32, or source, which keeps what they are")
      ->check(CLI::IsMember({"source", "f32", "f16", "bf16"}))
      ->capture_default_str();
  command->add_option("--runtime", args->runtime, "program that will load the output: llama.cpp, ik_llama.cpp or mlx")
      ->check(CLI::IsMember(target_names()))
      ->capture_default_str();
  args->projector.add_to(*command);
  command->add_flag("--force", args->force, "replace an existing output");
  args->common.add_to(*command);
  command->footer(
      "fit, measure, plan, quantize, eval and run take the folder itself: nothing has to be converted for them.\n"
      "Example:\n"
      "  snug convert ./SmolLM2-135M -o smollm2-bf16.gguf\n"
      "  snug convert ./gemma-3-4b-it -o gemma-bf16.gguf --mmproj mmproj-gemma.gguf");
  command->callback([args, &exit_code] {
    exit_code = guarded_job({"convert", args->model, args->out}, [&] { return run(*args); });
  });
}

}  // namespace snug::cli
