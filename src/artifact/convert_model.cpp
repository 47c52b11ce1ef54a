#include "artifact/convert_model.hpp"

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "artifact/artifact.hpp"
#include "artifact/tensor_order.hpp"
#include "base/events.hpp"
#include "base/parallel.hpp"
#include "base/printable.hpp"
#include "base/progress.hpp"
#include "base/str.hpp"
#include "recipe/target.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

constexpr int64_t kPieceBytes = 1 << 20;         // that a thread holds; rows are never cut
constexpr int64_t kSpanBytes = int64_t{64} << 20;  // of the source that is mapped at once
constexpr float kLargestF16 = 65504;

bool is_unquantized(FormatId format) {
  return format == FormatId::f32 || format == FormatId::f16 || format == FormatId::bf16;
}

/// Small tensors that a reader made f32 on purpose stay so.
bool is_matrix(const Tensor& tensor) {
  constexpr std::string_view kSmall[] = {"_norm.weight", "ffn_gate_inp.weight", "ffn_gate_inp_shexp.weight",
                                         "ssm_conv1d.weight"};
  return tensor.dims > 1 && tensor.name.ends_with(".weight") &&
         std::ranges::none_of(kSmall, [&](auto end) { return tensor.name.ends_with(end); });
}

FormatId target_of(const Tensor& tensor, const ConvertOptions& options) {
  return options.type && is_unquantized(tensor.format) && is_matrix(tensor) ? *options.type : tensor.format;
}

int64_t row_bytes_of(const Tensor& tensor, FormatId target) {
  return target == tensor.format ? tensor.row_bytes() : find_format(target)->row_bytes(tensor.cols());
}

Recipe converting_recipe(const ModelSource& model, const ConvertOptions& options) {
  if (options.type == FormatId::f32 && find_target(options.runtime).family == Family::mlx)
    throw Error{"models of MLX are not stored in f32, which it would be slow with", "the type", "choose bf16 or f16", Fault::usage};
  Recipe recipe;
  recipe.method = kConverted;
  recipe.notes = false;
  recipe.runtime = options.runtime;
  for (const Tensor* tensor : in_recipe_order(model)) {
    const FormatId target = target_of(*tensor, options);
    recipe.tensors.push_back({std::string{tensor->name}, target, row_bytes_of(*tensor, target) * tensor->rows(), 0,
                              target == tensor->format});
  }
  return recipe;
}

void check_f16(const Tensor& tensor, std::span<const float> row, int64_t r) {
  const auto bad = std::ranges::find_if(row, [](float w) { return std::abs(w) > kLargestF16; });
  if (bad != row.end())
    throw Error{str("tensor '", printable(tensor.name), "' holds ", *bad, " in row ", r, ", too large for f16"),
                std::string{tensor.file}, "convert to bf16, or keep the types of the source"};
}

/// One row in its new format.
void write_row(const Tensor& tensor, int64_t r, const Format& to, std::vector<float>& values, std::byte* out) {
  values.resize(static_cast<size_t>(tensor.cols()));
  tensor.read_row(r, values);
  if (to.id == FormatId::f16) check_f16(tensor, values, r);
  to.encode(values, {}, Effort::normal, out);
}

/// Rows [begin, end) in the format of the output.
void convert_rows(const Tensor& tensor, FormatId target, int64_t begin, int64_t end, std::vector<std::byte>& blocks) {
  thread_local std::vector<float> values;
  const int64_t out_bytes = row_bytes_of(tensor, target);
  blocks.resize(static_cast<size_t>((end - begin) * out_bytes));
  if (target == tensor.format) return tensor.read_blocks(begin, end - begin, blocks);
  for (int64_t r = begin; r < end; ++r)
    write_row(tensor, r, *find_format(target), values, blocks.data() + (r - begin) * out_bytes);
}

bool holds_tensor(const ArtifactReader& reader, size_t index, const Tensor& tensor, FormatId target) {
  const int64_t step = std::max<int64_t>(1, kPieceBytes / row_bytes_of(tensor, target));
  std::vector<std::byte> blocks;
  for (int64_t begin = 0; begin < tensor.rows(); begin += step) {
    check_cancelled();
    convert_rows(tensor, target, begin, std::min(begin + step, tensor.rows()), blocks);
    if (!reader.holds_rows(index, begin, blocks)) return false;
  }
  return true;
}

void write_span(const Tensor& tensor, size_t index, FormatId target, int64_t first, int64_t count,
                ArtifactWriter& writer, Progress& progress) {
  const int64_t step = std::max<int64_t>(1, kPieceBytes / row_bytes_of(tensor, target));
  parallel_ranges(count, step, [&](int64_t from, int64_t to) {
    check_cancelled();
    const int64_t begin = first + from, end = first + to;
    thread_local std::vector<std::byte> piece;
    convert_rows(tensor, target, begin, end, piece);
    writer.write_rows(index, begin, piece);
    progress.advance((end - begin) * tensor.row_bytes(), std::string{tensor.name});
  });
}

/// Pages of the source are given back span by span: the experts of one layer alone are a gigabyte.
void write_tensor(const Tensor& tensor, size_t index, FormatId target, ArtifactWriter& writer, Progress& progress) {
  const int64_t span = std::max<int64_t>(1, kSpanBytes / tensor.row_bytes());
  for (int64_t first = 0; first < tensor.rows(); first += span) {
    write_span(tensor, index, target, first, std::min(span, tensor.rows() - first), writer, progress);
    tensor.done_with();
  }
}

}  // namespace

WrittenModel convert_model(const ModelSource& model, const std::filesystem::path& out, const ConvertOptions& options,
                           OutputJournal* journal) {
  const Recipe recipe = converting_recipe(model, options);
  const std::unique_ptr<Artifact> artifact = make_artifact(model, nullptr, recipe.runtime);
  const std::unique_ptr<ArtifactWriter> writer = artifact->open(recipe, out, options.existing);
  int64_t bytes = 0;
  for (const Tensor& tensor : model.tensors()) bytes += tensor.bytes();
  Progress progress{"convert", bytes, Progress::Unit::bytes};
  for (size_t i = 0; i < recipe.tensors.size(); ++i)
    write_tensor(*model.find(recipe.tensors[i].name), i, recipe.tensors[i].format, *writer, progress);
  if (journal) journal->begin(artifact->files(recipe, out));
  return writer->commit();
}

bool is_converted(const ModelSource& model, const std::vector<std::filesystem::path>& files, const ConvertOptions& options) try {
  const Recipe recipe = converting_recipe(model, options);
  const std::unique_ptr<Artifact> artifact = make_artifact(model, nullptr, recipe.runtime);
  const auto reader = artifact->read_back(recipe, {artifact->layout(recipe).bytes, files});
  for (size_t i = 0; i < recipe.tensors.size(); ++i)
    if (!holds_tensor(*reader, i, *model.find(recipe.tensors[i].name), recipe.tensors[i].format)) return false;
  return true;
} catch (const Error& error) {
  if (error.fault() == Fault::interrupted) throw;
  return false;  // no model, or another
}

int64_t converted_bytes(const ModelSource& model, const ConvertOptions& options) {
  return make_artifact(model, nullptr)->layout(converting_recipe(model, options)).bytes;
}

}  // namespace snug
