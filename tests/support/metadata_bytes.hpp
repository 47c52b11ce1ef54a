#pragma once

#include <string>
#include <type_traits>
#include <variant>

#include "snug/model.hpp"
#include "support/gguf_bytes.hpp"

namespace snug::test {

/// A GGUF file with nothing but keys and values.
inline GgufBytes gguf_of(const Metadata& metadata) {
  GgufBytes file;
  for (const MetadataEntry& entry : metadata.entries()) {
    const auto encode = [](const auto& value) -> std::string {
      using T = std::decay_t<decltype(value)>;
      if constexpr (std::is_same_v<T, std::string_view>)
        return GgufBytes::text(value);
      else if constexpr (std::is_same_v<T, MetadataArray>)
        return GgufBytes::le(static_cast<uint32_t>(value.element)) + GgufBytes::le(value.count) +
               std::string{reinterpret_cast<const char*>(value.bytes.data()), value.bytes.size()};
      else
        return GgufBytes::le(value);
    };
    file.key(entry.key, static_cast<uint32_t>(entry.value.index()), std::visit(encode, entry.value));
  }
  return file;
}

}  // namespace snug::test
