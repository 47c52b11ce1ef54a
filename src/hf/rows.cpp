#include "hf/rows.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/half.hpp"
#include "base/str.hpp"
#include "snug/error.hpp"

namespace snug::hf {
namespace {

Tensor shaped(FormatId format, std::span<const int64_t> shape, std::string_view file) {
  if (shape.size() > 4) throw Error{str("a tensor of ", shape.size(), " dimensions"), std::string{file}};
  Tensor tensor;
  tensor.format = format;
  tensor.file = file;
  tensor.dims = std::max<int>(1, static_cast<int>(shape.size()));
  std::reverse_copy(shape.begin(), shape.end(), tensor.shape.begin());
  return tensor;
}

void read_one(const Tensor& tensor, int64_t row, std::span<std::byte> out) { tensor.read_blocks(row, 1, out); }

size_t element_bytes(const Tensor& tensor) { return block_shape(tensor.format).block_bytes; }

/// `from` with other rows: the shape is a matrix's.
Tensor matrix_like(const Tensor& from, FormatId format, int64_t cols, int64_t rows) {
  const int64_t shape[] = {rows, cols};
  return shaped(format, shape, from.file);
}

std::shared_ptr<const RowPlaces> runs(int64_t run_rows, std::function<const std::byte*(int64_t)> run) {
  return std::make_shared<const RowPlaces>(RowPlaces{run_rows, std::move(run), {}});
}

std::shared_ptr<const RowPlaces> makes(MakeRow make) {
  return std::make_shared<const RowPlaces>(RowPlaces{1, {}, std::move(make)});
}

}  // namespace

Tensor tensor_at(FormatId format, std::span<const int64_t> shape, const std::byte* data, std::string_view file) {
  Tensor tensor = shaped(format, shape, file);
  tensor.data = data;
  return tensor;
}

Tensor tensor_made(FormatId format, std::span<const int64_t> shape, std::string_view file, MakeRow make) {
  Tensor tensor = shaped(format, shape, file);
  tensor.places = makes(std::move(make));
  return tensor;
}

Tensor tensor_decoded(std::span<const int64_t> shape, std::string_view file,
                      std::function<void(int64_t row, std::span<float> out)> decode) {
  return tensor_made(FormatId::bf16, shape, file, [decode](int64_t row, std::span<std::byte> out) {
    std::vector<float> values(out.size() / sizeof(uint16_t));
    decode(row, values);
    for (size_t c = 0; c < values.size(); ++c) {
      const uint16_t bits = to_bf16(values[c]);
      std::memcpy(out.data() + c * sizeof bits, &bits, sizeof bits);
    }
  });
}

Tensor tensor_of(std::vector<float> values, std::string_view file) {
  const int64_t shape[] = {static_cast<int64_t>(values.size())};
  const auto kept = std::make_shared<const std::vector<float>>(std::move(values));
  return tensor_made(FormatId::f32, shape, file, [kept](int64_t, std::span<std::byte> out) {
    std::memcpy(out.data(), kept->data(), out.size());
  });
}

Tensor reshaped(Tensor tensor, std::initializer_list<int64_t> shape) {
  const int64_t weights = tensor.weights();
  tensor.shape = {1, 1, 1, 1};
  std::ranges::copy(shape, tensor.shape.begin());
  tensor.dims = static_cast<int>(shape.size());
  if (tensor.weights() != weights)
    throw Error{str(weights, " weights do not have the wanted shape"), std::string{tensor.file}};
  return tensor;
}

bool in_place(const Tensor& tensor) { return tensor.data || tensor.places->run; }

void decode_row(const Tensor& tensor, int64_t row, std::span<float> out) {
  const auto decode = find_format(tensor.format)->decode;
  if (in_place(tensor)) {
    decode(tensor.row(row).data(), out);
    return;
  }
  std::vector<std::byte> made(static_cast<size_t>(tensor.row_bytes()));
  tensor.places->make(row, made);
  decode(made.data(), out);
}

Tensor selected(const Tensor& from, int64_t run_rows, std::vector<int64_t> first_rows) {
  Tensor out = matrix_like(from, from.format, from.cols(), run_rows * static_cast<int64_t>(first_rows.size()));
  const auto firsts = std::make_shared<const std::vector<int64_t>>(std::move(first_rows));
  const auto source_row = [firsts, run_rows](int64_t row) {
    return (*firsts)[static_cast<size_t>(row / run_rows)] + row % run_rows;
  };
  if (from.data)
    out.places = runs(run_rows, [from, source_row, run_rows](int64_t run) {
      return from.row(source_row(run * run_rows)).data();
    });
  else if (in_place(from))
    out.places = runs(1, [from, source_row](int64_t row) { return from.row(source_row(row)).data(); });
  else
    out.places = makes([from, source_row](int64_t row, std::span<std::byte> to) {
      read_one(from, source_row(row), to);
    });
  return out;
}

Tensor stacked(std::vector<Tensor> parts) {
  Tensor out = parts.at(0);
  const int64_t rows = out.rows(), count = static_cast<int64_t>(parts.size());
  out.shape = {out.cols(), rows, count, 1};
  out.dims = 3;
  out.data = nullptr;
  if (parts[0].dims == 1) out.shape = {out.cols(), count, 1, 1}, out.dims = 2;
  const bool all_in_place = std::ranges::all_of(parts, in_place);
  const bool all_at_once = std::ranges::all_of(parts, [](const Tensor& part) { return part.data != nullptr; });
  const auto kept = std::make_shared<const std::vector<Tensor>>(std::move(parts));
  const auto part = [kept](int64_t i) -> const Tensor& { return (*kept)[static_cast<size_t>(i)]; };
  if (all_at_once)
    out.places = runs(rows, [part](int64_t run) { return part(run).data; });
  else if (all_in_place)
    out.places = runs(1, [part, rows](int64_t row) { return part(row / rows).row(row % rows).data(); });
  else
    out.places = makes([part, rows](int64_t row, std::span<std::byte> to) {
      read_one(part(row / rows), row % rows, to);
    });
  return out;
}

namespace {

/// One matrix of a tensor that is made on reading, kept by each thread while it gathers columns from it.
struct MadeMatrix {
  std::shared_ptr<const RowPlaces> of;
  int64_t number = -1;
  std::vector<std::byte> bytes;

  const std::byte* read(const Tensor& from, int64_t matrix) {
    if (of == from.places && number == matrix) return bytes.data();
    bytes.resize(static_cast<size_t>(from.row_bytes() * from.shape[1]));
    from.read_blocks(matrix * from.shape[1], from.shape[1], bytes);
    of = from.places;
    number = matrix;
    return bytes.data();
  }
};

void gather(const Tensor& from, int64_t row, std::span<std::byte> to) {
  thread_local MadeMatrix made;
  const int64_t matrix = row / from.cols(), column = row % from.cols();
  const size_t size = element_bytes(from);
  const std::byte* whole = in_place(from) ? nullptr : made.read(from, matrix);
  for (int64_t r = 0; r < from.shape[1]; ++r) {
    const std::byte* source =
        whole ? whole + r * from.row_bytes() : from.row(matrix * from.shape[1] + r).data();
    std::memcpy(to.data() + static_cast<size_t>(r) * size, source + static_cast<size_t>(column) * size, size);
  }
}

}  // namespace

Tensor side_by_side(const Tensor& first, const Tensor& second) {
  Tensor out = first;
  const int64_t rows = first.shape[1];
  out.shape[1] = 2 * rows;
  out.data = nullptr;
  out.places = makes([first, second, rows](int64_t row, std::span<std::byte> to) {
    const int64_t expert = row / (2 * rows), r = row % (2 * rows);
    read_one(r < rows ? first : second, expert * rows + r % rows, to);
  });
  return out;
}

bool is_unquantized(const Tensor& tensor) { return block_shape(tensor.format).block_weights == 1; }

Tensor transposed(const Tensor& from) {
  if (!is_unquantized(from)) return transposed(as_f32(from));
  Tensor out = from;
  std::swap(out.shape[0], out.shape[1]);
  out.data = nullptr;
  out.places = makes([from](int64_t row, std::span<std::byte> to) { gather(from, row, to); });
  return out;
}

Tensor changed(const Tensor& from, std::function<void(std::span<float>)> change) {
  if (from.format == FormatId::f32 && !change) return from;
  Tensor out = from;
  out.format = FormatId::f32;
  out.data = nullptr;
  out.places = makes([from, change](int64_t row, std::span<std::byte> to) {
    std::vector<float> values(static_cast<size_t>(from.cols()));
    decode_row(from, row, values);
    if (change) change(values);
    std::memcpy(to.data(), values.data(), to.size());
  });
  return out;
}

Tensor as_f32(const Tensor& from) { return changed(from, {}); }

Tensor selected_columns(const Tensor& from, std::vector<int64_t> from_column) {
  if (!is_unquantized(from)) return selected_columns(as_f32(from), std::move(from_column));
  Tensor out = from;
  out.shape[0] = static_cast<int64_t>(from_column.size());
  out.data = nullptr;
  const auto columns = std::make_shared<const std::vector<int64_t>>(std::move(from_column));
  out.places = makes([from, columns](int64_t row, std::span<std::byte> to) {
    const size_t size = element_bytes(from);
    std::vector<std::byte> whole(static_cast<size_t>(from.row_bytes()));
    read_one(from, row, whole);
    for (size_t c = 0; c < columns->size(); ++c)
      std::memcpy(to.data() + c * size, whole.data() + static_cast<size_t>((*columns)[c]) * size, size);
  });
  return out;
}

std::pair<Tensor, Tensor> halves(const Tensor& from) {
  const int64_t matrices = from.weights() / (from.cols() * from.shape[1]), rows = from.shape[1] / 2;
  std::vector<int64_t> firsts, seconds;
  for (int64_t m = 0; m < matrices; ++m) {
    firsts.push_back(2 * m * rows);
    seconds.push_back((2 * m + 1) * rows);
  }
  return {reshaped(selected(from, rows, std::move(firsts)), {from.cols(), rows, matrices}),
          reshaped(selected(from, rows, std::move(seconds)), {from.cols(), rows, matrices})};
}

}  // namespace snug::hf
