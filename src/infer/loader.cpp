#include "infer/loader.hpp"

#include "base/str.hpp"
#include "snug/error.hpp"

namespace snug::infer {
namespace {

constexpr const char* kRemedy = "the file was made for another version of this architecture, or is damaged";

std::string shape_text(const gguf::Tensor& t) {
  std::string text = "[";
  for (int d = 0; d < t.dims; ++d) text += str(d ? ", " : "", t.shape[static_cast<size_t>(d)]);
  return text + "]";
}

}  // namespace

std::string in_block(int64_t layer, std::string_view base) {
  return str("blk.", layer, ".", base);
}

const gguf::Tensor& Loader::tensor(const std::string& name) const {
  const gguf::Tensor* found = file_.find_tensor(name);
  if (!found) throw Error{str("tensor '", name, "' is missing"), file_.path().string(), kRemedy};
  return *found;
}

const Weight* Loader::matrix(const std::string& name, int64_t cols, int64_t rows, int64_t matrices) {
  const gguf::Tensor& t = tensor(name);
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
  return &weights_.try_emplace(name, Weight{name, format, cols, rows, matrices, t.data}).first->second;
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
  const gguf::Tensor& t = tensor(name);
  const Format* format = find_format(t.format);
  if (t.weights() != count || !format || format->block_weights != 1)
    throw Error{str("tensor '", name, "' is ", shape_text(t), " in ", format_name(t.format), ", not ", count,
                    " unquantized values"),
                file_.path().string(), kRemedy};
  used_.insert(name);
  std::vector<float> values(static_cast<size_t>(count));
  format->decode(t.data.data(), values);
  return values;
}

std::vector<float> Loader::vector_if(const std::string& name, int64_t count) {
  return has(name) ? vector(name, count) : std::vector<float>{};
}

void Loader::skip(std::string_view prefix) {
  for (const gguf::Tensor& t : file_.tensors())
    if (t.name.starts_with(prefix)) used_.emplace(t.name);
}

void Loader::check_all_used() const {
  for (const gguf::Tensor& t : file_.tensors())
    if (!used_.contains(t.name))
      throw Error{str("tensor '", t.name, "' ", shape_text(t), " has no place in this architecture"),
                  file_.path().string(), kRemedy};
}

}  // namespace snug::infer
