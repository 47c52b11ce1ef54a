#include "gguf/encode.hpp"

#include <algorithm>
#include <iterator>

#include "gguf/layout.hpp"

namespace snug::gguf {

void Encoder::raw(std::span<const std::byte> bytes) {
  std::ranges::copy(bytes, std::back_inserter(out_));
}

void Encoder::string(std::string_view text) {
  number(uint64_t{text.size()});
  raw(std::as_bytes(std::span{text.data(), text.size()}));
}

void Encoder::value(const MetadataValue& value) {
  number(static_cast<uint32_t>(value.index()));
  std::visit(
      [this](const auto& v) {
        using T = std::decay_t<decltype(v)>;
        if constexpr (std::is_same_v<T, std::string_view>) {
          string(v);
        } else if constexpr (std::is_same_v<T, MetadataArray>) {
          number(static_cast<uint32_t>(v.element));
          number(v.count);
          raw(v.bytes);
        } else if constexpr (std::is_same_v<T, bool>) {
          number(static_cast<uint8_t>(v));
        } else {
          number(v);
        }
      },
      value);
}

void Encoder::key(const OutputKey& key) {
  string(key.key);
  if (const auto* carried = std::get_if<MetadataValue>(&key.value)) {
    value(*carried);
  } else if (const auto* text = std::get_if<std::string>(&key.value)) {
    value(std::string_view{*text});
  } else if (const auto* numbers = std::get_if<std::vector<float>>(&key.value)) {
    value(MetadataArray{MetadataType::f32, numbers->size(), std::as_bytes(std::span{*numbers})});
  } else {
    strings(std::get<std::vector<std::string>>(key.value));
  }
}

void Encoder::strings(const std::vector<std::string>& list) {
  number(static_cast<uint32_t>(MetadataType::array));
  number(static_cast<uint32_t>(MetadataType::string));
  number(uint64_t{list.size()});
  for (const std::string& element : list) string(element);
}

void Encoder::tensor_info(const OutputTensor& tensor, int64_t offset) {
  string(tensor.name);
  number(static_cast<uint32_t>(tensor.dims));
  for (int d = 0; d < tensor.dims; ++d) number(tensor.shape[static_cast<size_t>(d)]);
  number(static_cast<uint32_t>(tensor.format));
  number(offset);
}

void Encoder::pad_to(size_t alignment) {
  out_.resize(round_up(out_.size(), alignment));
}

}  // namespace snug::gguf
