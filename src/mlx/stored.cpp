#include "mlx/stored.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <unordered_map>
#include <utility>

#include "base/str.hpp"
#include "quant/mlx_modes.hpp"
#include "quant/lossless.hpp"
#include "quant/planes.hpp"
#include "snug/error.hpp"

namespace snug::mlx {
namespace {

using safetensors::Dtype;

bool is_float(FormatId format) { return format == FormatId::f32 || format == FormatId::f16 || format == FormatId::bf16; }

Dtype dtype_of(PlaneType type) {
  switch (type) {
    case PlaneType::u32: return Dtype::u32;
    case PlaneType::u8: return Dtype::u8;
    case PlaneType::f16: return Dtype::f16;
    case PlaneType::bf16: return Dtype::bf16;
  }
  return Dtype::u8;
}

/// The shape of a plane: that of the weights with another last dimension.
std::vector<int64_t> plane_shape(const Module& module, const Format& format, const Plane& plane) {
  std::vector<int64_t> shape = module.shape;
  const int64_t groups = module.cols() / format.block_weights;
  shape.back() = groups * plane.bytes * 8 / safetensors::bits_of(dtype_of(plane.type));
  return shape;
}

bool is_vector(const Module& module) { return module.shape.size() == 1; }
bool orders_values(const Module& module) { return is_vector(module) && module.order.moves(); }

/// The values of a vector in the order of the module.
void reorder(const Module& module, std::vector<float>& values) {
  const std::vector<float> old = values;
  for (size_t i = 0; i < old.size(); ++i)
    if (const int64_t at = module.order.place(static_cast<int64_t>(i)); at >= 0) values[static_cast<size_t>(at)] = old[i];
}

/// Rows whose columns lie in another order, by blocks of the format or by numbers.
void reorder_columns(const Runs& columns, const Format& format, int64_t cols, std::span<std::byte> rows) {
  const auto block = static_cast<size_t>(format.block_bytes);
  const size_t row_bytes = static_cast<size_t>(format.row_bytes(cols));
  std::vector<std::byte> old(row_bytes);
  for (size_t row = 0; row < rows.size(); row += row_bytes) {
    std::memcpy(old.data(), rows.data() + row, row_bytes);
    for (size_t b = 0; b < row_bytes / block; ++b) {
      const int64_t at = columns.place(static_cast<int64_t>(b) * format.block_weights) / format.block_weights;
      std::memcpy(rows.data() + row + static_cast<size_t>(at) * block, old.data() + b * block, block);
    }
  }
}

void change(const Module& module, std::vector<float>& values) {
  if (module.change == Change::less_one)
    for (float& value : values) value -= 1;
  if (module.change == Change::log_of_negative)
    for (float& value : values) value = static_cast<float>(std::log(-static_cast<double>(value)));
  if (orders_values(module)) reorder(module, values);
}

/// The type in which a format computes: its own, that of its scales or, of those that have none, the source's.
bool is_half(FormatId format, const Tensor& source) {
  const Format* known = find_format(format);
  const bool scaled = known && known->planes.size() == 3;
  return scaled ? known->planes[1].type == PlaneType::f16
                : (format == FormatId::f16 || (mlx_mode_of(format) && source.format == FormatId::f16));
}

FormatId float_format(std::span<const Module> modules, std::span<const StoredModel::Choice> choices) {
  std::unordered_map<std::string_view, FormatId> chosen;
  for (const auto& [tensor, format] : choices) chosen.emplace(tensor, format);
  int64_t halves = 0, others = 0;
  for (const Module& module : modules)
    if (const auto found = chosen.find(module.tensor->name); module.quantizable && found != chosen.end())
      (is_half(found->second, *module.tensor) ? halves : others) += module.weights();
  return halves > others ? FormatId::f16 : FormatId::bf16;
}

void check_takes(const Format& format, const Module& module) {
  const Tensor& tensor = *module.tensor;
  if (!module.quantizable)
    throw Error{str("mlx_lm cannot load '", module.path, "' quantized"), "", "leave its tensor unquantized"};
  if (!module.takes(format))
    throw Error{str("tensor '", tensor.name, "' cannot be ", format.name, ": rows of ", tensor.cols(), " weights",
                    module.columns.length ? str(" for heads of ", module.columns.length) : "")};
}

}  // namespace

FormatId stored_format(FormatId format, FormatId floats, std::string_view tensor) {
  if (format == FormatId::f32) return floats;
  if (is_float(format) || mlx_mode_of(format)) return format;
  if (const auto same = lossless_in_mlx(format)) return *same;
  throw Error{str("MLX has no format ", format_name(format), ", which tensor '", tensor, "' is to have"), "",
              "choose a format of MLX, such as mlx_q4_g64, or start from the model in BF16"};
}

int64_t stored_bytes(FormatId format, int64_t data_bytes) {
  const bool has_place = is_float(format) || mlx_mode_of(format) || lossless_in_mlx(format);
  if (!has_place) return data_bytes;  // of a tensor that is not stored
  const BlockShape from = block_shape(format), to = block_shape(stored_format(format, FormatId::bf16, ""));
  return data_bytes / from.block_bytes * from.block_weights / to.block_weights * to.block_bytes;
}

StoredModel::StoredModel(ModelSource model, Modules modules, std::span<const Choice> choices)
    : model_(std::move(model)), modules_(std::move(modules)), floats_(float_format(*modules_, choices)) {
  std::unordered_map<std::string_view, size_t> index;
  for (const Choice& choice : choices) {
    index.emplace(choice.tensor, entries_.size());
    entries_.push_back({choice.format, nullptr, {}});
  }
  for (size_t i = 0; i < modules_->size(); ++i) {
    const std::string_view tensor = (*modules_)[i].tensor->name;
    const auto found = index.find(tensor);
    if (found == index.end())
      throw Error{str("tensor '", tensor, "' has no format"), "", "use a recipe of the whole model"};
    add_module(i, entries_[found->second]);
  }
}

int64_t StoredModel::bytes() const {
  int64_t bytes = 0;
  for (const auto& planned : planned_) bytes += static_cast<int64_t>(*safetensors::bytes_of(planned.dtype, planned.shape));
  return bytes;
}

void StoredModel::add_module(size_t i, Entry& entry) {
  const Module& module = (*modules_)[i];
  entry.tensor = module.tensor;
  const FormatId to = module.keeps_f32 ? FormatId::f32 : stored_format(entry.from, floats_, module.tensor->name);
  if (!continues(*modules_, i)) {
    last_ = {&module, planned_.size(), to};
    plan(module, *find_format(to));
  } else if (to != last_.to) {
    throw Error{str("the tensors '", last_.module->tensor->name, "' and '", module.tensor->name,
                    "' are one module of mlx_lm, and have two formats"),
                "", "choose one for both"};
  }
  entry.parts.push_back({&module, last_.planned, to});
}

void StoredModel::plan(const Module& module, const Format& format) {
  if (format.planes.empty()) {
    planned_.push_back({module.name, *safetensors::dtype_of(format.id), module.shape});
    return;
  }
  check_takes(format, module);
  quantized_.emplace(module.path, format.id);
  for (const Plane& plane : format.planes)
    planned_.push_back({str(module.path, ".", plane.name), dtype_of(plane.type), plane_shape(module, format, plane)});
}

/// Rows in the format of the file.
std::vector<std::byte> StoredModel::converted(const Entry& entry, const Part& part,
                                              std::span<const std::byte> blocks) const {
  const int64_t cols = entry.tensor->cols();
  const Format &from = *find_format(entry.from), &to = *find_format(part.to);
  const int64_t from_bytes = from.row_bytes(cols), to_bytes = to.row_bytes(cols);
  const int64_t rows = static_cast<int64_t>(blocks.size()) / from_bytes;
  std::vector<std::byte> out(static_cast<size_t>(rows * to_bytes));
  std::vector<float> values(static_cast<size_t>(cols));
  for (int64_t r = 0; r < rows; ++r) {
    const auto row = blocks.subspan(static_cast<size_t>(r * from_bytes), static_cast<size_t>(from_bytes));
    std::byte* const at = out.data() + r * to_bytes;
    if (!is_float(entry.from) && !to_mlx(entry.from, row, cols, at))
      throw Error{str("a scale of tensor '", entry.tensor->name, "' is too large for MLX's ", to.name), "",
                  "choose a format of MLX for it"};
    if (!is_float(entry.from)) continue;
    from.decode(row.data(), values);
    change(*part.module, values);
    to.encode(values, {}, Effort::normal, at);
  }
  return out;
}

void StoredModel::emit(const Entry& entry, const Part& part, int64_t row, std::span<const std::byte> blocks,
                       const Sink& sink) const {
  const Format& format = *find_format(part.to);
  const int64_t cols = entry.tensor->cols(), rows = static_cast<int64_t>(blocks.size()) / format.row_bytes(cols);
  if (format.planes.empty()) return sink(part.planned, static_cast<uint64_t>(row * format.row_bytes(cols)), blocks);
  std::vector<std::byte> plane_bytes;
  for (size_t p = 0; p < format.planes.size(); ++p) {
    const int64_t row_bytes = cols / format.block_weights * format.planes[p].bytes;
    plane_bytes.resize(static_cast<size_t>(rows * row_bytes));
    split_plane(format, format.planes[p], blocks, plane_bytes);
    sink(part.planned + p, static_cast<uint64_t>(row * row_bytes), plane_bytes);
  }
}

/// Columns of the source's matrices are rows of the module: neighbours in a column are written together.
void StoredModel::emit_transposed(const Entry& entry, const Part& part, int64_t first_row, std::span<const std::byte> rows,
                                  const Sink& sink) const {
  const Tensor& tensor = *entry.tensor;
  const auto size = static_cast<size_t>(find_format(part.to)->block_bytes);
  const int64_t cols = tensor.cols(), matrix = tensor.shape[1], stride = part.module->rows() / tensor.experts();
  const int64_t end = first_row + static_cast<int64_t>(rows.size() / size) / cols;
  std::vector<std::byte> column;
  for (int64_t first = first_row, last = 0; first < end; first = last) {
    last = std::min(end, (first / matrix + 1) * matrix);
    column.resize(static_cast<size_t>(last - first) * size);
    for (int64_t c = 0; c < cols; ++c) {
      for (int64_t r = first; r < last; ++r)
        std::memcpy(column.data() + static_cast<size_t>(r - first) * size,
                    rows.data() + static_cast<size_t>((r - first_row) * cols + c) * size, size);
      const int64_t at = (first / matrix * stride + c) * matrix + first % matrix;
      sink(part.planned, static_cast<uint64_t>(at) * size, column);
    }
  }
}

void StoredModel::place_rows(size_t choice, int64_t first_row, std::span<const std::byte> blocks, const Sink& sink) const {
  const Entry& entry = entries_.at(choice);
  for (const Part& part : entry.parts) place_part(entry, part, first_row, blocks, sink);
}

void StoredModel::place_part(const Entry& entry, const Part& part, int64_t first_row, std::span<const std::byte> blocks,
                             const Sink& sink) const {
  const Module& module = *part.module;
  const Format& to = *find_format(part.to);
  std::vector<std::byte> made;
  std::span<const std::byte> rows = blocks;
  if (entry.from != part.to || module.change != Change::none || orders_values(module))
    rows = made = converted(entry, part, blocks);
  if (module.columns.length > 0) {
    if (made.empty()) made.assign(blocks.begin(), blocks.end());
    reorder_columns(module.columns, to, entry.tensor->cols(), made);
    rows = made;
  }
  if (module.transposed) return emit_transposed(entry, part, first_row, rows, sink);
  const RowOrder order = is_vector(module) ? RowOrder{} : module.order;
  const auto row_bytes = static_cast<size_t>(to.row_bytes(entry.tensor->cols()));
  const int64_t count = static_cast<int64_t>(rows.size() / row_bytes);
  for (int64_t r = 0, last = 0; r < count; r = last) {  // rows that stay together are written together
    const int64_t place = order.place(first_row + r);
    for (last = r + 1; last < count && place >= 0 && order.place(first_row + last) == place + last - r;) ++last;
    if (place >= 0)
      emit(entry, part, place, rows.subspan(static_cast<size_t>(r) * row_bytes, static_cast<size_t>(last - r) * row_bytes), sink);
  }
}

}  // namespace snug::mlx
