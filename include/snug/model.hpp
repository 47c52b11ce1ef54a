#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

#include "snug/digest.hpp"
#include "snug/format.hpp"

namespace snug {

/// The kinds of a metadata value, numbered as GGUF numbers them; also the index of the alternative in
/// MetadataValue.
enum class MetadataType : uint32_t { u8, i8, u16, i16, u32, i32, f32, boolean, string, array, u64, i64, f64 };
const char* type_name(MetadataType type);  // "u8", "bool", "string"

/// A packed array: numbers little-endian back to back, strings each behind a u64 length. Its bounds, and those
/// of every string in it, were checked by whoever made it.
struct MetadataArray {
  MetadataType element = MetadataType::u8;
  uint64_t count = 0;
  std::span<const std::byte> bytes;

  std::vector<std::string_view> strings() const;  // throws Error unless element is string
  std::vector<int64_t> integers() const;          // any integer or boolean element
  std::vector<double> reals() const;              // any number
};

using MetadataValue = std::variant<uint8_t, int8_t, uint16_t, int16_t, uint32_t, int32_t, float, bool,
                                   std::string_view, MetadataArray, uint64_t, int64_t, double>;

struct MetadataEntry {
  std::string_view key;
  MetadataValue value;
};

/// The value as a whole number (any integer type, or bool) or as a number; nothing if it is of another kind,
/// or an integer beyond int64.
std::optional<int64_t> as_integer(const MetadataValue& value);
std::optional<double> as_real(const MetadataValue& value);

/// Keys and values of a model under GGUF's names: hyper-parameters, tokenizer, chat template. Views into
/// storage that the ModelSource keeps. Every getter throws Error naming file and key where the value is of
/// another kind than asked for.
class Metadata {
 public:
  Metadata() = default;
  /// `where` names the file in messages. The keys are different from each other.
  Metadata(std::vector<MetadataEntry> entries, std::string where);

  std::span<const MetadataEntry> entries() const { return entries_; }  // in the order of the file
  const std::string& where() const { return where_; }
  const MetadataValue* find(std::string_view key) const;  // nullptr if missing

  std::optional<int64_t> integer(std::string_view key) const;  // any integer type or bool
  std::optional<double> real(std::string_view key) const;      // any number
  std::optional<bool> boolean(std::string_view key) const;
  std::optional<std::string_view> text(std::string_view key) const;
  const MetadataArray* array(std::string_view key) const;  // nullptr if missing

  /// The elements of an array; none if it is missing.
  std::vector<std::string_view> strings(std::string_view key) const;
  std::vector<int64_t> integers(std::string_view key) const;
  std::vector<double> reals(std::string_view key) const;

 private:
  std::vector<MetadataEntry> entries_;
  std::unordered_map<std::string_view, size_t> index_;
  std::string where_;
};

/// How the rows of a tensor are found where they do not lie one after another. One of the two is set.
struct RowPlaces {
  /// Rows come in runs of `run_rows` that lie one after another (1: every row by itself; the rows of one
  /// expert: each expert by itself). The first byte of a run, in place.
  int64_t run_rows = 1;
  std::function<const std::byte*(int64_t run)> run;
  /// Writes one row, as `format` stores it, into row_bytes() bytes: for rows that are nowhere as they are
  /// wanted (transposed, scaled, decoded). Threads call it at once.
  std::function<void(int64_t row, std::span<std::byte> out)> make;
};

/// A tensor, named and shaped as GGUF has it, whatever the file. A view: it lives as long as its ModelSource.
/// Its format may be any of ggml's, known to formats() or not.
struct Tensor {
  std::string_view name;
  FormatId format{};
  int dims = 0;                              // 1 to 4
  std::array<int64_t, 4> shape{1, 1, 1, 1};  // shape[0] contiguous (columns), then rows, then experts
  std::string_view file;                     // that holds it (its first row), for messages
  const std::byte* data = nullptr;           // the first row, where all lie one after another
  std::shared_ptr<const RowPlaces> places;   // else

  int64_t cols() const { return shape[0]; }
  int64_t rows() const { return shape[1] * shape[2] * shape[3]; }  // experts' rows one after another
  int64_t experts() const { return shape[2] * shape[3]; }          // 1 for a matrix
  int64_t weights() const { return cols() * rows(); }
  int64_t row_bytes() const;                         // 0 where the format is unknown
  int64_t bytes() const { return row_bytes() * rows(); }

  /// All bytes in place; empty where rows do not lie one after another.
  std::span<const std::byte> contiguous() const;
  /// The bytes of one row in place; empty where rows are made on reading.
  std::span<const std::byte> row(int64_t r) const;
  /// Rows that lie one after another, from the first row of a run; empty where rows are made on reading.
  std::span<const std::byte> run(int64_t first_row) const;
  int64_t run_rows() const;  // rows of a run: rows() where all lie one after another

  /// Copies rows as `format` stores them: count * row_bytes() bytes. From wherever they are.
  void read_blocks(int64_t first_row, int64_t count, std::span<std::byte> out) const;
  /// Decodes one row into cols() numbers. Throws Error naming file, tensor, row and column where one is not
  /// finite, and Error naming the format where it is not one of formats().
  void read_row(int64_t r, std::span<float> out) const;
  /// Tells the kernel that rows in place will not be needed again soon.
  void done_with() const;
  /// All weights as f32, of a small tensor; not checked for finiteness.
  std::vector<float> values() const;
};

/// A model to read from: tensors and metadata that a reader filled, memory-mapped. A cheap handle on shared,
/// immutable contents: copies and threads share them.
class ModelSource {
 public:
  /// What a reader fills.
  struct Contents {
    std::filesystem::path path;                // what a person named
    std::vector<std::filesystem::path> files;  // that hold the tensors
    int64_t bytes = 0;                         // of all files
    std::string container;                     // "GGUF version 3", "safetensors"
    Metadata metadata;
    std::vector<Tensor> tensors;              // names are different from each other
    std::vector<std::string> remarks;         // what was left out or taken for granted, a sentence each
    std::vector<std::shared_ptr<const void>> storage;  // what the views point into
  };
  explicit ModelSource(Contents contents);

  const std::filesystem::path& path() const { return contents_->path; }
  std::span<const std::filesystem::path> files() const { return contents_->files; }
  int64_t bytes() const { return contents_->bytes; }
  const std::string& container() const { return contents_->container; }
  const Metadata& metadata() const { return contents_->metadata; }
  std::span<const Tensor> tensors() const { return contents_->tensors; }  // in the order of the files
  std::span<const std::string> remarks() const { return contents_->remarks; }
  const Tensor* find(std::string_view tensor) const;  // nullptr if missing

  /// Of names, shapes and formats of the tensors: what a recipe depends on besides the weights.
  const Digest& shape_digest() const;
  /// Of everything a forward pass depends on: hyper-parameters and all weights. Reads the whole model, the
  /// first time it is asked for.
  const Digest& contents_digest() const;

 private:
  struct Shared;
  std::shared_ptr<const Contents> contents_;
  std::shared_ptr<Shared> shared_;
};

/// Opens a model: a GGUF file (of a split one the first file), or the folder of a Hugging Face checkpoint. Its
/// remarks go to the events of the caller's EventScope as log lines. Throws Error that says what is there instead.
ModelSource open_model(const std::filesystem::path& path);

}  // namespace snug
