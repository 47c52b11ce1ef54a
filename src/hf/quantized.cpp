// Checkpoints that their publisher has quantized: which weights belong to which scales, and what they mean.
#include "hf/quantized.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <unordered_map>

#include "base/half.hpp"
#include "base/json_reader.hpp"
#include "base/str.hpp"
#include "hf/rows.hpp"
#include "snug/error.hpp"

namespace snug::hf {
namespace {

using nlohmann::json;
using safetensors::Dtype;
using Index = std::unordered_map<std::string, size_t>;

// --- one stored code as a number ----------------------------------------------------------------------------------

/// A minifloat without infinities where `all_ones_nan`: E4M3 as machine learning uses it; else as IEEE's.
float minifloat(uint8_t code, int mantissa_bits, int bias, bool all_ones_nan) {
  const int exponent_bits = 7 - mantissa_bits;
  const int mantissa = code & ((1 << mantissa_bits) - 1);
  const int exponent = (code >> mantissa_bits) & ((1 << exponent_bits) - 1);
  const float sign = code & 0x80 ? -1.0f : 1.0f;
  const int last = (1 << exponent_bits) - 1;
  if (all_ones_nan && (code & 0x7f) == 0x7f) return std::numeric_limits<float>::quiet_NaN();
  if (!all_ones_nan && exponent == last)
    return mantissa ? std::numeric_limits<float>::quiet_NaN() : sign * std::numeric_limits<float>::infinity();
  const int digits = exponent ? (1 << mantissa_bits) | mantissa : mantissa;
  return sign * std::ldexp(static_cast<float>(digits), std::max(exponent, 1) - bias - mantissa_bits);
}

template <class Value>
std::array<float, 256> table_of(Value value) {
  std::array<float, 256> table;
  for (int code = 0; code < 256; ++code) table[static_cast<size_t>(code)] = value(static_cast<uint8_t>(code));
  return table;
}

/// What the 256 codes of an element of one byte mean; nullptr for other types.
const std::array<float, 256>* meanings(Dtype dtype) {
  static const auto e4m3 = table_of([](uint8_t c) { return minifloat(c, 3, 7, true); });
  static const auto e5m2 = table_of([](uint8_t c) { return minifloat(c, 2, 15, false); });
  static const auto i8 = table_of([](uint8_t c) { return static_cast<float>(static_cast<int8_t>(c)); });
  switch (dtype) {
    case Dtype::f8_e4m3: return &e4m3;
    case Dtype::f8_e5m2: return &e5m2;
    case Dtype::i8: return &i8;
    default: return nullptr;
  }
}

// --- scales -------------------------------------------------------------------------------------------------------

/// One factor for `rows` x `cols` weights each; the last of a row or column may have fewer.
struct Scales {
  Tensor values;  // [matrices * rows of blocks, blocks of a row]
  int64_t rows = 1, cols = 1;      // of weights to a block
  int64_t matrix_rows = 1;         // of weights: blocks do not reach from one expert into the next
  int64_t matrix_block_rows = 1;

  void row(int64_t r, std::vector<float>& out) const {
    const int64_t block = r / matrix_rows * matrix_block_rows + r % matrix_rows / rows;
    out.resize(static_cast<size_t>(values.cols()));
    decode_row(values, block, out);
  }
};

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/// The scales of a tensor [.., rows, cols] in blocks of block_rows x block_cols.
Scales block_scales(const Source& weight, const Source& scale, int64_t block_rows, int64_t block_cols) {
  const std::vector<int64_t>& shape = weight.raw->shape;
  constexpr int64_t kMost = INT32_MAX;
  if (shape.size() < 2 || block_rows < 1 || block_cols < 1 || block_rows > kMost || block_cols > kMost ||
      weight.raw->bytes.empty())
    weight.refuse(str("the tensor ", quoted(weight.name), " is no matrix that could have scales"));
  const int64_t cols = shape.back(), rows = shape[shape.size() - 2];
  Scales scales{scale.need_weights(), block_rows, block_cols, rows, ceil_div(rows, block_rows)};
  int64_t matrices = 1;
  for (size_t d = 0; d + 2 < shape.size(); ++d) matrices *= shape[d];
  if (scales.values.weights() != matrices * scales.matrix_block_rows * ceil_div(cols, block_cols))
    scale.refuse(str("the scales ", quoted(scale.name), " are ", scales.values.weights(), ", not one for every ",
                     block_rows, " x ", block_cols, " weights"));
  scales.values = reshaped(scales.values, {ceil_div(cols, block_cols), matrices * scales.matrix_block_rows});
  return scales;
}

/// As many as there are: one for the tensor, one for every row, or, where the config says so, for every block.
Scales fitting_scales(const Source& weight, const Source& scale, const std::vector<int64_t>& block) {
  if (block.size() == 2) return block_scales(weight, scale, block[0], block[1]);
  const std::vector<int64_t>& shape = weight.raw->shape;
  if (shape.size() < 2) weight.refuse(str("the tensor ", quoted(weight.name), " is no matrix"));
  const bool one = scale.need_weights().weights() == 1 && shape.size() == 2;
  return block_scales(weight, scale, one ? shape[0] : 1, shape.back());
}

void store_bf16(std::span<std::byte> out, size_t column, float value) {
  const uint16_t bits = to_bf16(value);
  std::memcpy(out.data() + column * sizeof bits, &bits, sizeof bits);
}

/// Weights of one byte each.
Tensor scaled_bytes(const Source& weight, Scales scales) {
  const auto* meaning = meanings(weight.raw->dtype);
  if (!meaning) weight.refuse(str("the tensor ", quoted(weight.name), " has scales, but holds ",
                                  dtype_name(weight.raw->dtype)));
  const std::byte* data = weight.raw->bytes.data();
  const int64_t cols = weight.raw->shape.back();
  return tensor_made(FormatId::bf16, weight.raw->shape, weight.raw->file,
                     [=](int64_t row, std::span<std::byte> out) {
                       std::vector<float> scale;
                       scales.row(row, scale);
                       for (int64_t c = 0; c < cols; ++c) {
                         const auto code = static_cast<size_t>(data[row * cols + c]);
                         store_bf16(out, static_cast<size_t>(c),
                                    (*meaning)[code] * scale[static_cast<size_t>(c / scales.cols)]);
                       }
                     });
}

// --- integers packed into words -----------------------------------------------------------------------------------

struct Packing {
  int bits = 4;
  int64_t words = 0;  // of a row
  const std::byte* data = nullptr;

  int32_t code(int64_t row, int64_t column) const {
    const int per_word = 32 / bits;
    uint32_t word;
    std::memcpy(&word, data + static_cast<size_t>(row * words + column / per_word) * sizeof word, sizeof word);
    const auto mask = bits == 32 ? ~0u : (1u << bits) - 1;
    return static_cast<int32_t>(word >> (bits * (column % per_word)) & mask);
  }
};

int64_t stored_integer(const Source& source, size_t i) {
  if (source.raw->dtype == Dtype::i64) {
    int64_t value;
    std::memcpy(&value, source.raw->bytes.data() + i * sizeof value, sizeof value);
    return value;
  }
  int32_t value;
  std::memcpy(&value, source.raw->bytes.data() + i * sizeof value, sizeof value);
  return value;
}

/// [rows, cols] of the weights that were packed.
std::array<int64_t, 2> packed_shape(const Source& shape) {
  const Dtype dtype = shape.raw->dtype;
  const size_t size = dtype == Dtype::i64 ? 8 : 4;
  if ((dtype != Dtype::i64 && dtype != Dtype::i32) || shape.raw->bytes.size() != 2 * size)
    shape.refuse(str("the tensor ", quoted(shape.name), " is no shape of a matrix"));
  return {stored_integer(shape, 0), stored_integer(shape, 1)};
}

Packing packing_of(const Source& source, int bits, int64_t rows, int64_t cols) {
  const Packing packing{bits, ceil_div(std::clamp<int64_t>(cols, 0, INT32_MAX), 32 / bits), source.raw->bytes.data()};
  if ((source.raw->dtype != Dtype::i32 && source.raw->dtype != Dtype::u32) || rows < 1 || cols < 1 ||
      rows > INT32_MAX || cols > INT32_MAX ||
      source.raw->bytes.size() != static_cast<size_t>(rows * packing.words) * 4)
    source.refuse(str("the tensor ", quoted(source.name), " does not hold ", rows, " x ", cols, " weights of ", bits,
                      " bits"));
  return packing;
}

/// Zero points are packed along the rows: of rows r, r + 1, … of a group in one word.
int32_t zero_point(const std::byte* words, int bits, int64_t groups, int64_t row, int64_t group) {
  const int per_word = 32 / bits;
  uint32_t word;
  std::memcpy(&word, words + static_cast<size_t>(row / per_word * groups + group) * sizeof word, sizeof word);
  return static_cast<int32_t>(word >> (bits * (row % per_word)) & ((1u << bits) - 1));
}

struct Parts {
  const Source* packed;
  const Source* scale;
  const Source* shape;
  const Source* zero = nullptr;
};

Tensor unpacked(const Parts& parts, int bits) {
  const auto [rows, cols] = packed_shape(*parts.shape);
  const Packing packing = packing_of(*parts.packed, bits, rows, cols);
  const Tensor scale = parts.scale->need_weights();
  const int64_t groups = scale.cols();
  if (scale.rows() != rows || groups < 1 || cols % groups != 0)
    parts.scale->refuse(str("the scales ", quoted(parts.scale->name), " do not fit ", rows, " x ", cols, " weights"));
  if (parts.zero) packing_of(*parts.zero, bits, groups, rows);
  const std::byte* zero = parts.zero ? parts.zero->raw->bytes.data() : nullptr;
  const int64_t shape[] = {rows, cols}, group_size = cols / groups;
  return tensor_made(FormatId::bf16, shape, parts.packed->raw->file, [=](int64_t row, std::span<std::byte> out) {
    std::vector<float> factors(static_cast<size_t>(groups));
    decode_row(scale, row, factors);
    for (int64_t c = 0; c < group_size * groups; ++c) {
      const int64_t group = c / group_size;
      const int32_t middle = zero ? zero_point(zero, bits, groups, row, group) : 1 << (bits - 1);
      const auto level = static_cast<float>(packing.code(row, c) - middle);
      store_bf16(out, static_cast<size_t>(c), level * factors[static_cast<size_t>(group)]);
    }
  });
}

// --- which tensors belong together ----------------------------------------------------------------------------------

/// A method of quantizing, as config.json describes it.
struct Method {
  std::string name, format;
  std::vector<int64_t> block;  // rows and columns to a scale; none: a row, or all
  int bits = 0;
};

constexpr std::string_view kActivationScales[] = {
    ".activation_scale", "_activation_scale", ".input_scale", ".output_scale",
    ".k_scale",          ".v_scale",          ".qscale_act",  ".input_global_scale",
};

[[noreturn]] void refuse_method(const Config& config, const std::string& method) {
  config.refuse(str("the checkpoint is quantized by ", quoted(method), ", which snug cannot read"),
                "fetch the checkpoint it was made from; known are fp8, mxfp4 of gpt-oss, and compressed-tensors "
                "float-, int- and pack-quantized");
}

std::vector<int64_t> whole_numbers(const json& list) {
  std::vector<int64_t> numbers;
  for (const json& element : list.is_array() ? list : json::array())
    if (element.is_number_integer()) numbers.push_back(element.get<int64_t>());
  return numbers;
}

/// The "weights" part of the only group of a compressed-tensors configuration.
json weights_scheme(const Config& config, const json& quantization) {
  const json groups = quantization.value("config_groups", json::object());
  if (!groups.is_object() || groups.size() != 1 || !groups.begin()->is_object() ||
      !groups.begin()->contains("weights") || !(*groups.begin())["weights"].is_object())
    refuse_method(config, "compressed-tensors with several schemes");
  return (*groups.begin())["weights"];
}

void read_compressed(const Config& config, const json& quantization, Method& method) {
  constexpr std::string_view kKnown[] = {"float-quantized", "int-quantized", "naive-quantized", "pack-quantized"};
  method.format = quantization.value("format", std::string{});
  if (std::ranges::find(kKnown, method.format) == std::end(kKnown))
    refuse_method(config, str("compressed-tensors, ", method.format));
  const json weights = weights_scheme(config, quantization);
  if (weights.contains("num_bits") && weights["num_bits"].is_number_integer()) method.bits = weights["num_bits"];
  if (weights.contains("block_structure")) method.block = whole_numbers(weights["block_structure"]);
  if (weights.contains("group_size") && weights["group_size"].is_number_integer() && weights["group_size"] > 0)
    method.block = {1, weights["group_size"].get<int64_t>()};
  if (method.format == "pack-quantized" && (method.bits < 1 || method.bits > 8))
    refuse_method(config, str("compressed-tensors, ", method.bits, " bits"));
}

Method read_method(const Config& config, const json& quantization) try {
  Method method;
  method.name = quantization.value("quant_method", std::string{"an unnamed method"});
  if (method.name == "fp8") {
    if (quantization.contains("weight_block_size")) method.block = whole_numbers(quantization["weight_block_size"]);
  } else if (method.name == "compressed-tensors") {
    read_compressed(config, quantization, method);
  } else if (method.name != "mxfp4" || config.model_type() != "gpt_oss") {
    refuse_method(config, method.name);
  }
  return method;
} catch (const json::exception&) {
  config.refuse("quantization_config has a value of another kind than expected");
}

class Pairing {
 public:
  Pairing(std::vector<Source>& sources, Method method) : sources_(sources), method_(std::move(method)) {
    for (size_t i = 0; i < sources_.size(); ++i) index_[sources_[i].name] = i;
  }

  size_t run() {
    for (size_t i = 0, count = sources_.size(); i < count; ++i)
      if (method_.format == "pack-quantized")
        unpack(i);
      else
        scale(i);
    std::erase_if(sources_, [&](const Source& source) { return is_done(source.name); });
    return decoded_;
  }

 private:
  const Source* find(const std::string& name) const {
    const auto found = index_.find(name);
    return found == index_.end() ? nullptr : &sources_[found->second];
  }

  bool is_done(const std::string& name) const {
    const auto ends = [&](std::string_view end) { return name.ends_with(end); };
    return done_.contains(name) || std::ranges::any_of(kActivationScales, ends);
  }

  void scale(size_t i) {
    Source& weight = sources_[i];
    const Source* factors = find(weight.name + (method_.name == "fp8" ? "_scale_inv" : "_scale"));
    if (!factors) return;
    if (find(weight.name + "_zero_point")) weight.refuse(str("the tensor ", quoted(weight.name), " has zero points"));
    weight.weights = scaled_bytes(weight, fitting_scales(weight, *factors, method_.block));
    done_[factors->name] = true;
    ++decoded_;
  }

  void unpack(size_t i) {
    constexpr std::string_view kEnd = "_packed";
    if (!sources_[i].name.ends_with(kEnd)) return;
    const std::string name = sources_[i].name.substr(0, sources_[i].name.size() - kEnd.size());
    const Parts parts{&sources_[i], find(name + "_scale"), find(name + "_shape"), find(name + "_zero_point")};
    if (!parts.scale || !parts.shape || find(name + "_g_idx"))
      sources_[i].refuse(str("the packed tensor ", quoted(sources_[i].name), " lacks its scales or its shape, or has "
                             "its columns in another order"));
    Tensor weights = unpacked(parts, method_.bits);
    for (const char* end : {"_scale", "_shape", "_zero_point"}) done_[name + end] = true;
    sources_[i].weights = std::move(weights);
    sources_[i].name = name;
    ++decoded_;
  }

  std::vector<Source>& sources_;
  Method method_;
  Index index_;
  std::unordered_map<std::string, bool> done_;
  size_t decoded_ = 0;
};

}  // namespace

void decode_quantized(std::vector<Source>& sources, const Config& config, std::vector<std::string>& remarks) {
  const json* quantization = config.find({"quantization_config"});
  if (!quantization) return;
  if (!quantization->is_object()) config.refuse("quantization_config is no object");
  const Method method = read_method(config, *quantization);
  if (method.name == "mxfp4") return;
  const size_t decoded = Pairing{sources, method}.run();
  remarks.push_back(str("the checkpoint is quantized (", method.name, method.format.empty() ? "" : ", ", method.format,
                        "); ", decoded, " tensors are decoded to bf16 on reading"));
}

}  // namespace snug::hf
