#include "hf/sources.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <tuple>

#include "base/json_reader.hpp"
#include "base/str.hpp"
#include "hf/quantized.hpp"
#include "hf/rows.hpp"
#include "snug/error.hpp"

namespace snug::hf {
namespace {

constexpr std::string_view kOtherPartBegins[] = {
    "mlp",     "vit.",    "vpm.",    "siglip2.",       "conformer.",       "merger.",
    "resampler.", "sound_encoder.", "sound_projection.", "speech_embeddings.",
};
constexpr std::string_view kOtherPartHolds[] = {
    "visual.",        "vision.",        "audio.",          "talker.",          "vision_",
    "audio_",         "token2wav.",     "code2wav.",       "projector.",       "pre_mm_projector_norm",
    "image_newline",  "view_seperator", "patch_embed",     "patch_embedding",  "patch_merger.",
    "patch_merge_mlp.", "model.connector.",
};
constexpr std::string_view kNeverNeeded[] = {".attention.masked_bias", ".attention.bias", ".rotary_emb.inv_freq"};

bool is_other_part(std::string_view name) {
  return std::ranges::any_of(kOtherPartBegins, [&](auto part) { return name.starts_with(part); }) ||
         std::ranges::any_of(kOtherPartHolds, [&](auto part) { return name.find(part) != name.npos; });
}

bool is_never_needed(std::string_view name) {
  return std::ranges::any_of(kNeverNeeded, [&](auto end) { return name.ends_with(end); });
}

void remove_all(std::string& name, std::string_view part) {
  for (size_t at = name.find(part); at != name.npos; at = name.find(part)) name.erase(at, part.size());
}

/// Elements of a type that no format of ggml's stores, as numbers. Rows follow each other in the file, whatever their
/// length is.
template <class T>
MakeRow converting(const std::byte* data) {
  return [data](int64_t row, std::span<std::byte> out) {
    const size_t cols = out.size() / sizeof(float);
    for (size_t c = 0; c < cols; ++c) {
      T value;
      std::memcpy(&value, data + (static_cast<size_t>(row) * cols + c) * sizeof value, sizeof value);
      const auto number = static_cast<float>(value);
      std::memcpy(out.data() + c * sizeof number, &number, sizeof number);
    }
  };
}

MakeRow numbers(const safetensors::Tensor& raw) {
  using safetensors::Dtype;
  const std::byte* data = raw.bytes.data();
  switch (raw.dtype) {
    case Dtype::f64: return converting<double>(data);
    case Dtype::i64: return converting<int64_t>(data);
    case Dtype::i32: return converting<int32_t>(data);
    case Dtype::i16: return converting<int16_t>(data);
    default: return {};
  }
}

bool is_float(FormatId format) {
  return format == FormatId::f32 || format == FormatId::f16 || format == FormatId::bf16;
}

/// In place, or copied row by row where the file's elements are not aligned.
Tensor stored_tensor(const safetensors::Tensor& raw, FormatId format) {
  const std::byte* data = raw.bytes.data();
  if (reinterpret_cast<uintptr_t>(data) % block_shape(format).block_bytes == 0)
    return tensor_at(format, raw.shape, data, raw.file);
  return tensor_made(format, raw.shape, raw.file, [data](int64_t row, std::span<std::byte> out) {
    std::memcpy(out.data(), data + static_cast<size_t>(row) * out.size(), out.size());
  });
}

std::optional<Tensor> weights_of(const safetensors::Tensor& raw) {
  const auto format = safetensors::format_of(raw.dtype);
  if (!format || raw.bytes.empty()) return {};
  if (is_float(*format)) return stored_tensor(raw, *format);
  MakeRow make = numbers(raw);
  if (!make) return {};
  return tensor_made(FormatId::f32, raw.shape, raw.file, std::move(make));
}

std::string left_out(size_t count, const std::string& example) {
  return str(count, count == 1 ? " tensor" : " tensors",
             " of other parts than the text model are left out, for example ", quoted(example));
}

}  // namespace

const Tensor& Source::need_weights() const {
  if (!weights)
    refuse(str("the tensor ", quoted(raw->name), " holds ", dtype_name(raw->dtype),
               ", which are no weights by themselves"));
  return *weights;
}

void Source::refuse(const std::string& problem) const {
  throw Error{problem, std::string{raw->file},
              "the checkpoint is quantized in a way that is not known, or damaged; fetch the unquantized one"};
}

std::optional<std::string> text_model_name(std::string_view given) {
  std::string name{given};
  if (is_other_part(name) || is_never_needed(name)) return {};
  remove_all(name, "language_model.");
  remove_all(name, "text_model.");
  if (name.starts_with("model.")) name.erase(0, 6);
  return name;
}

int64_t layer_of_name(std::string_view name) {
  constexpr std::string_view kBegin = "layers.";
  if (!name.starts_with(kBegin)) return -1;
  int64_t layer = -1;
  const char* end = name.data() + name.size();
  const auto [stop, error] = std::from_chars(name.data() + kBegin.size(), end, layer);
  return error == std::errc{} && stop != end && *stop == '.' ? layer : -1;
}

Tensor plain_tensor(const safetensors::Tensor& raw) {
  const auto weights = weights_of(raw);
  if (!weights)
    throw Error{str("the tensor ", quoted(raw.name), " holds ", dtype_name(raw.dtype), ", not numbers"),
                std::string{raw.file}};
  return *weights;
}

Sources::Sources(const safetensors::Checkpoint& checkpoint, const Config& config, Rename rename,
                 std::vector<std::string>& remarks) {
  const int64_t layers = config.layers();
  size_t dropped = 0;
  std::string example;
  for (const safetensors::Tensor& raw : checkpoint.tensors()) {
    if (raw.shape.size() > 4 || is_other_part(raw.name)) {
      if (dropped++ == 0) example = raw.name;
      continue;
    }
    const auto name = text_model_name(raw.name);
    if (name) sources_.push_back({rename ? rename(*name, layers) : *name, &raw, weights_of(raw)});
  }
  if (dropped > 0) remarks.push_back(left_out(dropped, example));
  finish(config, remarks);
}

Sources::Sources(const safetensors::Checkpoint& checkpoint, const Config& config, PartName part,
                 std::vector<std::string>& remarks) {
  for (const safetensors::Tensor& raw : checkpoint.tensors())
    if (auto name = part(raw.name))
      sources_.push_back({std::move(*name), &raw, raw.shape.size() > 4 ? std::nullopt : weights_of(raw)});
  finish(config, remarks);
}

void Sources::finish(const Config& config, std::vector<std::string>& remarks) {
  decode_quantized(sources_, config, remarks);
  std::ranges::sort(sources_, {}, [](const Source& s) { return std::pair{layer_of_name(s.name), s.name}; });
  for (size_t i = 0; i < sources_.size(); ++i)
    if (!index_.emplace(sources_[i].name, i).second)
      sources_[i].refuse(str("two tensors of the checkpoint are called ", quoted(sources_[i].name)));
}

const Source* Sources::find(std::string_view name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &sources_[found->second];
}

}  // namespace snug::hf
