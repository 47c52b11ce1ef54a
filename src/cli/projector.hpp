#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>

#include "snug/budget.hpp"
#include "snug/model.hpp"
#include "snug/output.hpp"

namespace snug::cli {

/// --mmproj OUT, and for commands with a budget whether the file counts in it.
struct ProjectorArgs {
  std::string out;
  bool counts = false;

  void add_to(CLI::App& command);
  void add_counting_to(CLI::App& command);
};

/// The projector of a multimodal checkpoint, to be written beside the text model; nothing where none is asked for.
class Projector {
 public:
  /// Opens it. Throws Error where the model has none that can be written, or the file's name is taken: by `text`, the
  /// text model's output, or by any file that `existing` protects; not by this very projector, which a call that was
  /// stopped behind it has left.
  Projector(const ProjectorArgs& args, const std::string& model, const std::string& text, Existing existing);

  int64_t bytes() const { return bytes_; }  // of the file; 0 without one
  /// What the projector leaves of a budget it counts in. Throws Error where that is nothing.
  Budget rest_of(const Budget& budget) const;
  void write() const;

 private:
  ProjectorArgs args_;
  Existing existing_;
  std::optional<ModelSource> model_;
  int64_t bytes_ = 0;
  bool is_written_ = false;
};

}  // namespace snug::cli
