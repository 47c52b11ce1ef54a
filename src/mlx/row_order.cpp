#include "mlx/row_order.hpp"

#include <functional>
#include <numeric>
#include <string>

#include "base/str.hpp"
#include "model/roles.hpp"
#include "snug/error.hpp"

namespace snug::mlx {
namespace {

Runs runs_of(int64_t total, int64_t length, const std::function<int64_t(int64_t)>& place) {
  Runs runs{length, {}};
  for (int64_t i = 0; i < total; i += length) runs.starts.push_back(place(i));
  return runs;
}

/// mlx_lm's number of GGUF's n-th value head: there those of one key head follow each other.
int64_t grouped(const HeadSizes& s, int64_t n) {
  return n % s.key_heads * s.values_per_key() + n / s.key_heads;
}

/// Rows before `first` stay; behind them lie the value heads, `rows` rows each.
Runs grouped_runs(const HeadSizes& s, int64_t first, int64_t rows) {
  return runs_of(first + s.value_heads * rows, std::gcd(first, rows), [&](int64_t i) {
    if (i < first) return i;
    return first + grouped(s, (i - first) / rows) * rows + (i - first) % rows;
  });
}

/// Of Qwen3-Next, by key head: queries, keys, values, gates.
struct NextGroup {
  int64_t keys, values, group;
  explicit NextGroup(const HeadSizes& s)
      : keys(s.key_dim), values(s.values_per_key() * s.value_dim), group(2 * keys + 2 * values) {}
};

Runs next_qkv(const HeadSizes& s) {
  const NextGroup g{s};
  const int64_t all_keys = s.key_heads * g.keys;
  return runs_of(2 * all_keys + s.key_heads * g.values, std::gcd(g.keys, g.values), [&](int64_t i) {
    if (i < 2 * all_keys) return i % all_keys / g.keys * g.group + i / all_keys * g.keys + i % g.keys;
    i -= 2 * all_keys;
    return i / g.values * g.group + 2 * g.keys + i % g.values;
  });
}

Runs next_z(const HeadSizes& s) {
  const NextGroup g{s};
  return runs_of(s.key_heads * g.values, g.values,
                 [&](int64_t i) { return i / g.values * g.group + 2 * g.keys + g.values; });
}

Runs mla_values(const HeadSizes& s) {
  return runs_of(s.heads * s.mla_value, s.mla_value,
                 [&](int64_t i) { return i / s.mla_value * (s.mla_key + s.mla_value) + s.mla_key; });
}

[[noreturn]] void refuse(const Tensor& tensor) {
  throw Error{str("tensor '", tensor.name, "' is not as large as the model's heads make it"),
              std::string{tensor.file}, "the file is damaged; convert the model again"};
}

void need_delta_net(const HeadSizes& s, const Tensor& tensor) {
  if (s.key_heads < 1 || s.key_dim < 1 || s.value_dim < 1 || s.value_heads < 1 ||
      s.value_heads % s.key_heads != 0)
    refuse(tensor);
}

bool is_delta_net(Order order) {
  return order >= Order::delta_qkv && order <= Order::next_z;
}

Runs runs_of(Order order, const HeadSizes& s) {
  switch (order) {
    case Order::delta_qkv:
      return grouped_runs(s, 2 * s.key_heads * s.key_dim, s.value_dim);
    case Order::delta_values:
      return grouped_runs(s, 0, s.value_dim);
    case Order::delta_heads:
      return grouped_runs(s, 0, 1);
    case Order::next_qkv:
      return next_qkv(s);
    case Order::next_z:
      return next_z(s);
    case Order::mla_values:
      return mla_values(s);
    default:
      return {};
  }
}

int64_t rows_of_module(Order order, const HeadSizes& s, int64_t rows) {
  if (order == Order::next_qkv || order == Order::next_z) return s.key_heads * NextGroup{s}.group;
  if (order == Order::mla_keys || order == Order::mla_values) return s.heads * (s.mla_key + s.mla_value);
  return rows;
}

}  // namespace

int64_t RowOrder::place(int64_t source_row) const {
  if (runs) return runs->place(source_row);
  const int64_t in_matrix = source_row % matrix - first;
  if (in_matrix < 0 || in_matrix >= count) return -1;
  const int64_t row = source_row / matrix * count + in_matrix;
  if (head == 0) return row;
  const int64_t in_head = row % head;
  return row - in_head + in_head / 2 + in_head % 2 * (head / 2);
}

HeadSizes::HeadSizes(const ModelSource& model) {
  const ModelShape shape = shape_of(model);
  heads = shape.heads;
  kv_heads = shape.heads_kv;
  const auto number = [&](const char* key) {
    return model.metadata().integer(str(shape.architecture, ".", key)).value_or(0);
  };
  key_heads = number("ssm.group_count");
  value_heads = number("ssm.time_step_rank");
  key_dim = number("ssm.state_size");
  if (value_heads > 0) value_dim = number("ssm.inner_size") / value_heads;
  mla_key = number("attention.key_length_mla") - number("rope.dimension_count");
  mla_value = number("attention.value_length_mla");
}

PlacedRows placed_rows(Order order, const HeadSizes& sizes, const Tensor& tensor) {
  if (order == Order::same || order == Order::query_pairs || order == Order::key_pairs)
    return {nullptr, tensor.rows()};
  const int64_t rows = tensor.dims == 1 ? tensor.cols() : tensor.rows();
  if (is_delta_net(order)) need_delta_net(sizes, tensor);
  const bool is_mla = order == Order::mla_keys || order == Order::mla_values;
  if (is_mla && (sizes.heads < 1 || sizes.mla_key < 1 || sizes.mla_value < 1)) refuse(tensor);
  if (order == Order::mla_keys) {
    if (tensor.cols() != sizes.mla_key || tensor.experts() != sizes.heads) refuse(tensor);
    return {nullptr, rows_of_module(order, sizes, rows)};
  }
  Runs runs = runs_of(order, sizes);
  if (static_cast<int64_t>(runs.starts.size()) * runs.length != rows) refuse(tensor);
  return {std::make_shared<const Runs>(std::move(runs)), rows_of_module(order, sizes, rows)};
}

Runs value_columns(const HeadSizes& sizes, const Tensor& tensor) {
  need_delta_net(sizes, tensor);
  if (tensor.cols() != sizes.value_heads * sizes.value_dim) refuse(tensor);
  return grouped_runs(sizes, 0, sizes.value_dim);
}

}  // namespace snug::mlx
