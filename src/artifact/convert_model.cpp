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

constexpr int64_t kPieceBytes = 1 << 20;  // that a thread holds; rows are never cut
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
                std::string{tensor.file}, "convert to bf16 (--type bf16), or keep the types (--type source)"};
}

/// One row in its new format.
void write_row(const Tensor& tensor, int64_t r, const Format& to, std::vector<float>& values, std::byte* out) {
  values.resize(static_cast<size_t>(tensor.cols()));
  tensor.read_row(r, values);
  if (to.id == FormatId::f16) check_f16(tensor, values, r);
  to.encode(values, {}, Effort::normal, out);
}

void write_tensor(const Tensor& tensor, size_t index, FormatId target, ArtifactWriter& writer, Progress& progress) {
  const int64_t out_bytes = row_bytes_of(tensor, target);
  const int64_t step = std::max<int64_t>(1, kPieceBytes / out_bytes);
  parallel_ranges(tensor.rows(), step, [&](int64_t begin, int64_t end) {
    check_cancelled();
    thread_local std::vector<std::byte> piece;
    thread_local std::vector<float> values;
    piece.resize(static_cast<size_t>((end - begin) * out_bytes));
    if (target == tensor.format)
      tensor.read_blocks(begin, end - begin, piece);
    else
      for (int64_t r = begin; r < end; ++r)
        write_row(tensor, r, *find_format(target), values, piece.data() + (r - begin) * out_bytes);
    writer.write_rows(index, begin, piece);
    progress.advance((end - begin) * tensor.row_bytes(), std::string{tensor.name});
  });
}

}  // namespace

WrittenModel convert_model(const ModelSource& model, const std::filesystem::path& out, const ConvertOptions& options) {
  const Recipe recipe = converting_recipe(model, options);
  const std::unique_ptr<ArtifactWriter> writer = make_artifact(model, nullptr, recipe.runtime)->open(recipe, out, options.existing);
  int64_t bytes = 0;
  for (const Tensor& tensor : model.tensors()) bytes += tensor.bytes();
  Progress progress{"convert", bytes, Progress::Unit::bytes};
  for (size_t i = 0; i < recipe.tensors.size(); ++i) {
    const Tensor& source = *model.find(recipe.tensors[i].name);
    write_tensor(source, i, recipe.tensors[i].format, *writer, progress);
    source.done_with();
  }
  return writer->commit();
}

}  // namespace snug
