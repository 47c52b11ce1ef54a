// Weights quantized by MLX: codes, scales and biases in tensors of their own, and in which of its modes.
#include "hf/mlx_codes.hpp"

#include <algorithm>
#include <cstring>
#include <unordered_map>
#include <unordered_set>

#include "base/json_reader.hpp"
#include "base/str.hpp"
#include "hf/rows.hpp"
#include "quant/mlx_modes.hpp"
#include "quant/planes.hpp"
#include "safetensors/dtype.hpp"

namespace snug::hf {
namespace {

using nlohmann::json;
using safetensors::Dtype;

constexpr std::string_view kWeight = ".weight";

/// What a mode means by itself.
constexpr MlxMode kUsual[] = {{64, 4, "affine"}, {32, 4, "mxfp4"}, {32, 8, "mxfp8"}, {16, 4, "nvfp4"}};

bool is_affine(const MlxMode& mode) { return mode.name == "affine"; }

int whole_number(const Config& config, const json& block, const char* key, int usual) {
  const auto found = block.find(key);
  if (found == block.end() || found->is_null()) return usual;
  if (!found->is_number_integer() || *found < 1 || *found > 1024)
    config.refuse(str("the quantization block has ", quoted(found->dump()), " as ", key, ", not a whole number"));
  return found->get<int>();
}

/// A block's own values. One that names no mode is affine, whatever the others are: so does mlx_lm read it.
MlxMode mode_of(const Config& config, const json& block) {
  const auto name = block.find("mode");
  const std::string given = name != block.end() && name->is_string() ? name->get<std::string>() : "affine";
  const auto* const usual = std::ranges::find(kUsual, given, &MlxMode::name);
  if (usual == std::end(kUsual))
    config.refuse(str("the weights are quantized in MLX's mode ", quoted(given), ", which snug does not know"),
                  "known are affine, mxfp4, mxfp8 and nvfp4");
  return {whole_number(config, block, "group_size", usual->group_size), whole_number(config, block, "bits", usual->bits),
          usual->name};
}

/// The tensors of one module.
struct Parts {
  const Source& codes;
  const Source& scales;
  const Source* biases;  // of affine codes alone

  [[noreturn]] void refuse(const std::string& problem) const {
    codes.refuse(str("the quantized tensor ", quoted(codes.raw->name), " ", problem));
  }
};

bool is_float(Dtype dtype) { return dtype == Dtype::bf16 || dtype == Dtype::f16 || dtype == Dtype::f32; }

void check_types(const Parts& parts, const MlxMode& mode) {
  const Dtype scales = parts.scales.raw->dtype;
  const bool bytes = scales == Dtype::u8 || scales == Dtype::f8_e4m3 || scales == Dtype::f8_e8m0;
  if (parts.codes.raw->dtype != Dtype::u32) parts.refuse(str("holds ", dtype_name(parts.codes.raw->dtype), ", not U32"));
  if (is_affine(mode) ? !is_float(scales) : !bytes)
    parts.refuse(str("has scales of ", dtype_name(scales), ", which the mode ", mode.name, " has not"));
  if (is_affine(mode) != (parts.biases != nullptr))
    parts.refuse(is_affine(mode) ? "has no biases" : str("has biases, which the mode ", mode.name, " has not"));
  if (parts.biases && (parts.biases->raw->dtype != scales || parts.biases->raw->shape != parts.scales.raw->shape))
    parts.refuse("has biases of another type or shape than its scales");
}

/// Row-major shape of the weights. Error where codes and scales are not of as many.
std::vector<int64_t> shape_of(const Parts& parts, const MlxMode& mode) {
  std::vector<int64_t> shape = parts.codes.raw->shape, groups = parts.scales.raw->shape;
  if (shape.size() < 2 || groups.size() != shape.size() || shape.back() > INT32_MAX ||
      shape.back() * 32 != groups.back() * mode.group_size * mode.bits || parts.codes.raw->bytes.empty() ||
      !std::equal(shape.begin(), shape.end() - 1, groups.begin()))
    parts.refuse(str("and its scales are not of ", mode.bits, " bits in groups of ", mode.group_size));
  shape.back() = groups.back() * mode.group_size;
  return shape;
}

Tensor joined(const Parts& parts, const Format& format, std::span<const int64_t> shape) {
  const std::byte* planes[] = {parts.codes.raw->bytes.data(), parts.scales.raw->bytes.data(),
                               parts.biases ? parts.biases->raw->bytes.data() : nullptr};
  const std::vector<const std::byte*> data(planes, planes + format.planes.size());
  return tensor_made(format.id, shape, parts.codes.raw->file, [data, &format](int64_t row, std::span<std::byte> out) {
    const size_t blocks = out.size() / format.block_bytes;
    for (size_t p = 0; p < data.size(); ++p) {
      const size_t bytes = blocks * format.planes[p].bytes;
      join_plane(format, format.planes[p], {data[p] + static_cast<size_t>(row) * bytes, bytes}, out);
    }
  });
}

/// Code number i of a stream of bits.
uint32_t code_at(const std::byte* row, int64_t i, int64_t bits) {
  const int64_t first = i * bits;
  uint32_t two = std::to_integer<uint32_t>(row[first / 8]);
  if (first % 8 + bits > 8) two |= std::to_integer<uint32_t>(row[first / 8 + 1]) << 8;
  return two >> (first % 8) & ((1u << bits) - 1);
}

float float_at(const std::byte* data, int64_t i) {
  float value;
  std::memcpy(&value, data + i * static_cast<int64_t>(sizeof value), sizeof value);
  return value;
}

/// Affine codes whose scales are f32.
Tensor decoded(const Parts& parts, const MlxMode& mode, std::span<const int64_t> shape) {
  const std::byte *codes = parts.codes.raw->bytes.data(), *scales = parts.scales.raw->bytes.data(),
                  *biases = parts.biases->raw->bytes.data();
  const int64_t bits = mode.bits, group = mode.group_size, cols = shape.back();
  return tensor_made(FormatId::f32, shape, parts.codes.raw->file, [=](int64_t row, std::span<std::byte> out) {
    const std::byte* line = codes + row * (cols * bits / 8);
    for (int64_t c = 0; c < cols; ++c) {
      const int64_t g = row * (cols / group) + c / group;
      const float value = static_cast<float>(code_at(line, c, bits)) * float_at(scales, g) + float_at(biases, g);
      std::memcpy(out.data() + static_cast<size_t>(c) * sizeof value, &value, sizeof value);
    }
  });
}

class Joining {
 public:
  Joining(std::vector<Source>& sources, const Config& config)
      : sources_(sources), config_(config), block_(config.file()["quantization"]), usual_(mode_of(config, block_)) {
    for (size_t i = 0; i < sources_.size(); ++i) index_[sources_[i].name] = i;
  }

  void run() {
    for (Source& source : sources_)
      if (source.name.ends_with(kWeight)) join(source);
    std::erase_if(sources_, [&](const Source& source) { return done_.contains(source.name); });
  }

 private:
  const Source* find(const std::string& name) const {
    const auto found = index_.find(name);
    return found == index_.end() ? nullptr : &sources_[found->second];
  }

  MlxMode mode_for(const std::string& path) const {
    const auto own = block_.find(path);
    return own != block_.end() && own->is_object() ? mode_of(config_, *own) : usual_;
  }

  void join(Source& weight) {
    const std::string base = weight.name.substr(0, weight.name.size() - kWeight.size());
    const Source* scales = find(base + ".scales");
    if (!scales) return;
    const Parts parts{weight, *scales, find(base + ".biases")};
    if (find(base + ".global_scale")) parts.refuse("has a global scale, which snug does not read");
    const std::string& name = weight.raw->name;
    const MlxMode mode = mode_for(name.substr(0, name.size() - kWeight.size()));
    check_types(parts, mode);
    const std::vector<int64_t> shape = shape_of(parts, mode);
    const Dtype type = scales->raw->dtype;
    const auto format = mlx_format_of(mode, type == Dtype::f16 ? FormatId::f16 : FormatId::bf16);
    if (!format)
      parts.refuse(str("is in the mode ", mode.name, " with ", mode.bits, " bits in groups of ", mode.group_size,
                       ", which does not exist"));
    done_.insert(scales->name);
    if (parts.biases) done_.insert(parts.biases->name);
    weight.weights = type == Dtype::f32 ? decoded(parts, mode, shape) : joined(parts, *find_format(*format), shape);
  }

  std::vector<Source>& sources_;
  const Config& config_;
  const json& block_;
  MlxMode usual_;
  std::unordered_map<std::string, size_t> index_;
  std::unordered_set<std::string> done_;  // names of scales and biases
};

}  // namespace

bool has_mlx_quantization(const Config& config) {
  const auto found = config.file().find("quantization");
  return found != config.file().end() && found->is_object();
}

void join_mlx_codes(std::vector<Source>& sources, const Config& config) { Joining{sources, config}.run(); }

}  // namespace snug::hf
