#include "cli/projector.hpp"

#include "artifact/convert_model.hpp"
#include "base/events.hpp"
#include "base/files/output_guard.hpp"
#include "base/str.hpp"
#include "base/units.hpp"
#include "snug/error.hpp"
#include "source/open_model.hpp"

namespace snug::cli {

void ProjectorArgs::add_to(CLI::App& command) {
  command
      .add_option("--mmproj", out,
                  "write what a multimodal checkpoint sees images with here, as llama.cpp's projector file")
      ->type_name("FILE");
}

void ProjectorArgs::add_counting_to(CLI::App& command) {
  command.add_flag("--mmproj-in-size", counts, "--size is for both files together")->needs("--mmproj")->needs("--size");
}

Projector::Projector(const ProjectorArgs& args, const std::string& model, const std::string& text, Existing existing)
    : args_(args), existing_(existing) {
  if (args.out.empty()) return;
  model_ = open_projector(model);
  bytes_ = converted_bytes(*model_, {});
  is_written_ = existing == Existing::refuse && is_converted(*model_, {args.out}, {});
  OutputGuard{is_written_ ? Existing::replace : existing}
      .reads(model_files(model)).reads({text}).writes(args.out, is_written_ ? 0 : bytes_).check();
}

Budget Projector::rest_of(const Budget& budget) const {
  if (!args_.counts) return budget;
  const int64_t rest = budget.bytes(0) - bytes_;
  if (rest <= 0)
    throw Error{str("the projector alone takes ", show_size(bytes_)), "--mmproj-in-size",
                "give a larger --size, or leave --mmproj-in-size out", Fault::unreachable_budget};
  return Budget::of_file(rest);
}

void Projector::write() const {
  if (!model_ || is_written_) return;
  convert_model(*model_, args_.out, {.type = std::nullopt, .existing = existing_});
  log_line(str("wrote the projector, ", args_.out, ", ", bytes_, " bytes"));
}

}  // namespace snug::cli
