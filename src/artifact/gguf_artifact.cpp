#include "artifact/gguf_artifact.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include "artifact/gguf_recipe.hpp"
#include "base/files/output_guard.hpp"
#include "base/str.hpp"
#include "gguf/layout.hpp"
#include "gguf/metadata.hpp"
#include "gguf/reader.hpp"
#include "gguf/split.hpp"
#include "gguf/writer.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

/// llama.cpp's number for what most matrices of an unquantized model are.
uint32_t unquantized_file_type(const ModelSource& model, const Recipe& recipe) {
  const auto any = [&](FormatId format) {
    return std::ranges::any_of(recipe.tensors, [&](const RecipeTensor& tensor) {
      return tensor.format == format && model.find(tensor.name)->dims > 1;
    });
  };
  if (any(FormatId::mxfp4)) return 38;
  if (any(FormatId::bf16)) return 32;
  return any(FormatId::f16) ? 1 : 0;
}

/// The name of a file without the way to it, on whatever system that was.
std::string name_of(const std::string& path) {
  return path.substr(path.find_last_of("/\\") + 1);
}

gguf::ImatrixNote note_of(const Importance& importance) {
  // Names alone: the same recipe gives the same bytes wherever imatrix and text lie, and tells nobody of a machine.
  return {name_of(importance.path().string()), importance.datasets().empty() ? "" : name_of(importance.datasets().front()),
          static_cast<int64_t>(importance.tensors().size()), importance.chunks()};
}

std::vector<OutputKey> keys_of(const ModelSource& model, const Importance* importance, const Recipe& recipe) {
  gguf::ImatrixNote note;
  if (importance) note = note_of(*importance);
  const uint32_t type = recipe.method == kConverted ? unquantized_file_type(model, recipe) : file_type_of(recipe);
  return gguf::quantized_keys(model, type, importance ? &note : nullptr, recipe_keys(recipe));
}

gguf::Layout layout_of(const ModelSource& model, const Importance* importance, const Recipe& recipe,
                       const std::filesystem::path& out, int64_t split_bytes) {
  std::vector<gguf::OutputTensor> tensors;
  for (const RecipeTensor& tensor : recipe.tensors) {
    const Tensor& source = *model.find(tensor.name);
    tensors.push_back({tensor.name, tensor.format, source.dims, source.shape});
  }
  return gguf::plan_layout(out, keys_of(model, importance, recipe), std::move(tensors), split_bytes);
}

class GgufWriter final : public ArtifactWriter {
 public:
  GgufWriter(gguf::Layout layout, Existing existing) : writer_(std::move(layout), existing) {}

  void write_rows(size_t tensor, int64_t first_row, std::span<const std::byte> blocks) override {
    const gguf::OutputTensor& output = writer_.layout().tensors.at(tensor);
    const int64_t row_bytes = gguf::data_bytes(output.format, {output.shape.data(), 1});
    writer_.write(tensor, first_row * row_bytes, blocks);
  }

  WrittenModel commit() override {
    writer_.commit();
    WrittenModel written{writer_.layout().bytes, {}};
    for (const gguf::Layout::Shard& shard : writer_.layout().shards) written.files.push_back(shard.path);
    return written;
  }

 private:
  gguf::Writer writer_;
};

class GgufReader final : public ArtifactReader {
 public:
  GgufReader(ModelSource file, std::vector<const Tensor*> tensors)
      : file_(std::move(file)), tensors_(std::move(tensors)) {}

  bool holds_rows(size_t tensor, int64_t first_row, std::span<const std::byte> blocks) const override {
    const Tensor& source = *tensors_.at(tensor);
    std::vector<std::byte> got(blocks.size());
    source.read_blocks(first_row, static_cast<int64_t>(blocks.size()) / source.row_bytes(), got);
    return std::ranges::equal(got, blocks);
  }

 private:
  const ModelSource file_;  // the tensors are views of it
  const std::vector<const Tensor*> tensors_;
};

}  // namespace

GgufArtifact::GgufArtifact(ModelSource model, const Importance* importance)
    : model_(std::move(model)), importance_(importance) {}

std::vector<std::filesystem::path> GgufArtifact::possible_outputs(const std::filesystem::path& out,
                                                                  int64_t split_bytes) {
  if (out.empty()) return {};
  std::vector<std::filesystem::path> outputs = {out};
  if (split_bytes > 0) std::ranges::move(gguf::shards_in_place(out), std::back_inserter(outputs));
  return outputs;
}

int64_t GgufArtifact::fixed_bytes(const Recipe& recipe) const {
  const gguf::Layout whole = layout_of(model_, importance_, recipe, {}, 0);
  return static_cast<int64_t>(whole.shards.front().header.size());
}

int64_t GgufArtifact::stored_bytes(FormatId, int64_t data_bytes) const {
  return gguf::padded(data_bytes);
}

FileLayout GgufArtifact::layout(const Recipe& recipe) const {
  const gguf::Layout planned = layout_of(model_, importance_, recipe, {}, recipe.split_bytes);
  FileLayout layout{planned.bytes, {}};
  for (const gguf::Layout::Shard& shard : planned.shards) layout.file_bytes.push_back(shard.bytes);
  return layout;
}

std::vector<OutputFile> GgufArtifact::files(const Recipe& recipe, const std::filesystem::path& out) const {
  std::vector<OutputFile> files;
  for (const gguf::Layout::Shard& shard : layout_of(model_, importance_, recipe, out, recipe.split_bytes).shards)
    files.push_back({shard.path, shard.bytes});
  return files;
}

std::unique_ptr<ArtifactWriter> GgufArtifact::open(const Recipe& recipe, const std::filesystem::path& out,
                                                   Existing existing) const {
  gguf::Layout layout = layout_of(model_, importance_, recipe, out, recipe.split_bytes);
  OutputGuard guard{existing};
  guard.reads(model_.files());
  for (const gguf::Layout::Shard& shard : layout.shards) guard.writes(shard.path);
  guard.check();
  return std::make_unique<GgufWriter>(std::move(layout), existing);
}

std::unique_ptr<ArtifactReader> GgufArtifact::read_back(const Recipe& recipe, const WrittenModel& written) const {
  ModelSource file = gguf::read_model(written.files.front());
  const auto refuse = [&](const std::string& what) {
    throw Error{what, written.files.front().string(), "the disk or memory may be faulty; write it again", Fault::io};
  };
  if (file.bytes() != written.bytes) refuse(str("the file has ", file.bytes(), " bytes, planned were ", written.bytes));
  if (file.tensors().size() != recipe.tensors.size()) refuse("a tensor is missing");
  std::vector<const Tensor*> tensors;
  for (const RecipeTensor& wanted : recipe.tensors) {
    const Tensor* got = file.find(wanted.name);
    if (!got || got->format != wanted.format || got->shape != model_.find(wanted.name)->shape)
      refuse(str("tensor '", wanted.name, "' is not what was planned"));
    tensors.push_back(got);
  }
  return std::make_unique<GgufReader>(std::move(file), std::move(tensors));
}

int64_t GgufSizes::stored_bytes(FormatId, int64_t data_bytes) const {
  return gguf::padded(data_bytes);
}

FileLayout GgufSizes::layout(const Recipe& recipe) const {
  int64_t bytes = header_bytes_;
  for (const RecipeTensor& tensor : recipe.tensors) bytes += stored_bytes(tensor.format, tensor.bytes);
  return {bytes, {bytes}};
}

}  // namespace snug
