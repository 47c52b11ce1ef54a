#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "mlx/modules.hpp"
#include "safetensors/writer.hpp"
#include "snug/format.hpp"

// How the rows of a model's tensors, in the formats of a recipe, become tensors of MLX's files.
namespace snug::mlx {

/// The format in a file of MLX of a tensor that a recipe has in `format`: quantized ones as they are or, where MLX has a
/// format for the same blocks, rewritten; f32 rounded to `floats`. Throws Error naming the tensor where there is none.
FormatId stored_format(FormatId format, FormatId floats, std::string_view tensor);

/// What so many bytes of `format` take there.
int64_t stored_bytes(FormatId format, int64_t data_bytes);

/// The tensors of the files for one choice of formats, and the way of every row to its place.
class StoredModel {
 public:
  struct Choice {
    std::string_view tensor;  // of the model
    FormatId format{};
  };

  using Modules = std::shared_ptr<const std::vector<Module>>;

  StoredModel(ModelSource model, Modules modules, std::span<const Choice> choices);

  std::span<const safetensors::Planned> tensors() const { return planned_; }  // in the order of the modules
  int64_t bytes() const;                         // of them all
  FormatId floats() const { return floats_; }  // f16 where most weights are that or scaled in it, else bf16

  /// The format of every quantizable module that is quantized, by its path.
  const std::map<std::string, FormatId>& quantized() const { return quantized_; }

  /// Sees bytes of tensor number `planned`, from `offset` in it on.
  using Sink = std::function<void(size_t planned, uint64_t offset, std::span<const std::byte> bytes)>;
  /// Whole rows of choice number `choice`, as its format stores them; threads may call it at once.
  void place_rows(size_t choice, int64_t first_row, std::span<const std::byte> blocks, const Sink& sink) const;

 private:
  struct Part {
    const Module* module;  // of modules_
    size_t planned;  // the first of its tensors: planes follow each other
    FormatId to{};
  };
  struct Entry {
    FormatId from{};
    const Tensor* tensor = nullptr;
    std::vector<Part> parts;
  };

  void add_module(size_t i, Entry& entry);
  void plan(const Module& module, const Format& format);
  std::vector<std::byte> converted(const Entry& entry, const Part& part, std::span<const std::byte> blocks) const;
  void emit(const Entry& entry, const Part& part, int64_t row, std::span<const std::byte> blocks, const Sink& sink) const;
  void emit_transposed(const Entry& entry, const Part& part, int64_t first_row, std::span<const std::byte> rows,
                       const Sink& sink) const;
  void place_part(const Entry& entry, const Part& part, int64_t first_row, std::span<const std::byte> blocks,
                  const Sink& sink) const;

  ModelSource model_;  // that the modules are views of
  Modules modules_;
  FormatId floats_;
  std::vector<safetensors::Planned> planned_;
  std::vector<Entry> entries_;  // one a choice
  Part last_{};                 // of the module added last
  std::map<std::string, FormatId> quantized_;
};

}  // namespace snug::mlx
