#include "artifact/convert_model.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "artifact/tensor_order.hpp"
#include "base/events.hpp"
#include "base/mapped_file.hpp"
#include "base/parallel.hpp"
#include "base/printable.hpp"
#include "base/progress.hpp"
#include "base/str.hpp"
#include "gguf/metadata.hpp"
#include "gguf/writer.hpp"
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

/// llama.cpp's number for what most matrices are.
uint32_t file_type(const std::vector<gguf::OutputTensor>& tensors) {
  const auto any = [&](FormatId format) {
    return std::ranges::any_of(tensors, [&](const auto& t) { return t.dims > 1 && t.format == format; });
  };
  if (any(FormatId::mxfp4)) return 38;
  if (any(FormatId::bf16)) return 32;
  return any(FormatId::f16) ? 1 : 0;
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

void write_tensor(const Tensor& tensor, size_t index, FormatId target, gguf::Writer& writer, Progress& progress) {
  const int64_t out_bytes = tensor.cols() / block_shape(target).block_weights * block_shape(target).block_bytes;
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
    writer.write(index, begin * out_bytes, piece);
    progress.advance((end - begin) * tensor.row_bytes(), std::string{tensor.name});
  });
}

/// Pages of the source that were copied need not stay in memory.
void let_go(const Tensor& tensor) {
  for (int64_t r = 0; r < tensor.rows(); r += tensor.run_rows()) MappedFile::done_with(tensor.run(r));
}

}  // namespace

void convert_model(const ModelSource& model, const std::filesystem::path& out, const ConvertOptions& options) {
  std::vector<gguf::OutputTensor> tensors;
  int64_t bytes = 0;
  for (const Tensor* tensor : in_recipe_order(model)) {
    tensors.push_back({std::string{tensor->name}, target_of(*tensor, options), tensor->dims, tensor->shape});
    bytes += tensor->bytes();
  }
  auto keys = gguf::quantized_keys(model, file_type(tensors), nullptr, {});
  gguf::Writer writer{gguf::plan_layout(out, std::move(keys), tensors, options.split_bytes), options.existing};
  Progress progress{"convert", bytes, Progress::Unit::bytes};
  for (size_t i = 0; i < tensors.size(); ++i) {
    const Tensor& source = *model.find(tensors[i].name);
    write_tensor(source, i, tensors[i].format, writer, progress);
    let_go(source);
  }
  writer.commit();
}

}  // namespace snug
