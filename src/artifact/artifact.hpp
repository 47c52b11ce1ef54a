#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/files/atomic_file.hpp"
#include "base/files/output_guard.hpp"
#include "imatrix/importance.hpp"
#include "snug/model.hpp"
#include "snug/output.hpp"
#include "snug/recipe.hpp"

namespace snug {

/// Recipe::method of a conversion: nothing is quantized that was not before.
inline constexpr std::string_view kConverted = "converted";

/// The files of an output, planned to the byte before a byte is written.
struct FileLayout {
  int64_t bytes = 0;                // of all files
  std::vector<int64_t> file_bytes;  // of each
};

/// How large an output becomes: all that planning asks of it.
class OutputSizes {
 public:
  virtual ~OutputSizes() = default;

  /// Bytes that are no tensor's, headers and metadata, of an output in one piece. A lower bound where they depend
  /// on the formats chosen.
  virtual int64_t fixed_bytes(const Recipe& recipe) const = 0;

  /// What a tensor adds to the output, padding included, where its blocks of `format` take `data_bytes`.
  virtual int64_t stored_bytes(FormatId format, int64_t data_bytes) const = 0;

  /// Whether Recipe::notes are written, and so take bytes.
  virtual bool has_notes() const = 0;

  /// Whether a tensor can be stored in a format, beyond what the format asks of its rows.
  virtual bool can_store(std::string_view /*tensor*/, FormatId /*format*/) const { return true; }

  /// Tensors that are stored as one and so must have one format, set by set.
  virtual std::vector<std::vector<std::string>> joined_tensors() const { return {}; }

  /// Exact, for every file, split as the recipe says.
  virtual FileLayout layout(const Recipe& recipe) const = 0;
};

struct OutputFile {
  std::filesystem::path path;
  int64_t bytes = 0;
};

/// Takes the rows of an output in any order.
class ArtifactWriter {
 public:
  virtual ~ArtifactWriter() = default;

  /// Whole rows of the recipe's tensor number `tensor`, as its format stores them. Threads may share. Throws Error
  /// if a row is written twice or is none of the tensor's.
  virtual void write_rows(size_t tensor, int64_t first_row, std::span<const std::byte> blocks) = 0;

  /// Puts all files in place, whole or not at all; throws Error if rows are missing or a name was taken meanwhile.
  virtual WrittenModel commit() = 0;
};

/// Compares the rows of an output that was written.
class ArtifactReader {
 public:
  virtual ~ArtifactReader() = default;

  /// Whether the output has for these rows what write_rows() makes of them.
  virtual bool holds_rows(size_t tensor, int64_t first_row, std::span<const std::byte> blocks) const = 0;
};

/// What will be written of a model: its container, to the byte, and writing it. Recipes name the model's tensors;
/// how they are named, ordered and taken apart in the files is the artifact's own business. Immutable.
class Artifact : public OutputSizes {
 public:
  /// The files with weights that writing `out` puts in place.
  virtual std::vector<OutputFile> files(const Recipe& recipe, const std::filesystem::path& out) const = 0;

  /// Reserves the space at once. Throws Error where a file is there already (unless it may be replaced) or is one of
  /// the model's.
  virtual std::unique_ptr<ArtifactWriter> open(const Recipe& recipe, const std::filesystem::path& out,
                                               Existing existing) const = 0;

  /// Throws Error of Fault::io unless the files have the sizes and the tensors of the recipe.
  virtual std::unique_ptr<ArtifactReader> read_back(const Recipe& recipe, const WrittenModel& written) const = 0;
};

/// Has `guard` watch the names that writing `out` for a runtime may take: a folder, or a file and, where it may be split,
/// of those in place the ones that its files may have. None where `out` is empty.
void guard_output(OutputGuard& guard, const std::filesystem::path& out, int64_t split_bytes, std::string_view runtime);

/// Whether one of the names that guard_output() watches is taken.
bool is_output_in_place(const std::filesystem::path& out, int64_t split_bytes, std::string_view runtime);

/// The artifact that recipes of `model` are written as for a runtime ("mlx"). `importance`, which may be nullptr,
/// outlives it. Throws Error where the runtime is not known, or has no place for the model.
std::unique_ptr<Artifact> make_artifact(const ModelSource& model, const Importance* importance,
                                        std::string_view runtime = "llama.cpp");

}  // namespace snug
