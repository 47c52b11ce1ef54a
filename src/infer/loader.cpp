#include "infer/loader.hpp"

#include "base/memory.hpp"
#include "base/parallel.hpp"
#include "base/str.hpp"
#include "snug/error.hpp"

namespace snug::infer {
namespace {

constexpr const char* kRemedy = "the file was made for another version of this architecture, or is damaged";

std::string shape_text(const Tensor& t) {
  std::string text = "[";
  for (int d = 0; d < t.dims; ++d) text += str(d ? ", " : "", t.shape[static_cast<size_t>(d)]);
  return text + "]";
}

}  // namespace

std::string in_block(int64_t layer, std::string_view base) {
  return str("blk.", layer, ".", base);
}

const Tensor& Loader::tensor(const std::string& name) const {
  const Tensor* found = file_.find(name);
  if (!found) throw Error{str("tensor '", name, "' is missing"), file_.path().string(), kRemedy};
  return *found;
}

const Weight* Loader::matrix(const std::string& name, int64_t cols, int64_t rows, int64_t matrices) {
  const Tensor& t = tensor(name);
  if (t.shape[0] != cols || t.shape[1] != rows || t.experts() != matrices)
    throw Error{str("tensor '", name, "' has shape ", shape_text(t), ", not [", cols, ", ", rows,
                    matrices > 1 ? str(", ", matrices) : std::string{}, "]"),
                file_.path().string(), kRemedy};
  const Format* format = find_format(t.format);
  if (!format)
    throw Error{str("tensor '", name, "' is in the format ", format_name(t.format), " (",
                    static_cast<uint32_t>(t.format), "), which snug cannot decode"),
                file_.path().string(), "use a file in one of the formats of llama.cpp's master branch"};
  used_.insert(name);
  const auto [at, is_new] = weights_.try_emplace(name, Weight{name, format, cols, rows, matrices});
  if (is_new) place(t, at->second);
  return &at->second;
}

/// In place where the rows of each matrix lie one after another; else they are brought together.
void Loader::place(const Tensor& tensor, Weight& weight) {
  weight.data = tensor.contiguous();
  if (!weight.data.empty()) return;
  if (tensor.run_rows() % weight.rows == 0 && !tensor.run(0).empty()) {
    for (int64_t m = 0; m < weight.matrices; ++m) weight.parts.push_back(tensor.row(m * weight.rows).data());
    return;
  }
  const std::span<std::byte> bytes = gathered_.emplace_back(tensor.bytes(), stays_in_memory(file_.bytes())).bytes();
  const int64_t row_bytes = tensor.row_bytes();
  parallel_for(tensor.rows(), [&](int64_t r) {
    tensor.read_blocks(r, 1, bytes.subspan(static_cast<size_t>(r * row_bytes), static_cast<size_t>(row_bytes)));
  });
  weight.data = bytes;
}

Linear Loader::linear(const std::string& base, int64_t cols, int64_t rows, int64_t matrices) {
  Linear linear{
      matrix(base + ".weight", cols, rows, matrices), vector_if(base + ".bias", rows * matrices), {}, false};
  const std::string scale = base + ".scale";
  if (has(scale)) linear.scale = vector(scale, tensor(scale).weights() == 1 ? 1 : matrices);
  if (has(base + ".input_scale")) used_.insert(base + ".input_scale");
  return linear;
}

Linear Loader::linear_if(const std::string& base, int64_t cols, int64_t rows, int64_t matrices) {
  return has(base + ".weight") ? linear(base, cols, rows, matrices) : Linear{};
}

std::vector<float> Loader::vector(const std::string& name, int64_t count) {
  const Tensor& t = tensor(name);
  const Format* format = find_format(t.format);
  if (t.weights() != count || !format || format->block_weights != 1)
    throw Error{str("tensor '", name, "' is ", shape_text(t), " in ", format_name(t.format), ", not ", count,
                    " unquantized values"),
                file_.path().string(), kRemedy};
  used_.insert(name);
  return t.values();
}

std::vector<float> Loader::vector_if(const std::string& name, int64_t count) {
  return has(name) ? vector(name, count) : std::vector<float>{};
}

void Loader::skip(std::string_view prefix) {
  for (const Tensor& t : file_.tensors())
    if (t.name.starts_with(prefix)) used_.emplace(t.name);
}

void Loader::check_all_used() const {
  for (const Tensor& t : file_.tensors())
    if (!used_.contains(t.name))
      throw Error{str("tensor '", t.name, "' ", shape_text(t), " has no place in this architecture"),
                  file_.path().string(), kRemedy};
}

}  // namespace snug::infer
