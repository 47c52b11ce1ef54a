#include "model/digest.hpp"

#include <type_traits>
#include <variant>

#include "base/digest.hpp"

namespace snug {
namespace {

void add_value(Hasher& hasher, const gguf::Value& value) {
  hasher.add(static_cast<uint64_t>(value.index()));
  std::visit(
      [&](const auto& v) {
        using T = std::decay_t<decltype(v)>;
        if constexpr (std::is_same_v<T, std::string_view>)
          hasher.add(v);
        else if constexpr (std::is_same_v<T, gguf::Array>)
          hasher.add(v.bytes);
        else
          hasher.add_array<T>({&v, 1});
      },
      value);
}

}  // namespace

Digest contents_digest(const gguf::Reader& model, std::string_view architecture) {
  Hasher hasher;
  const std::string prefix = std::string{architecture} + ".";
  hasher.add(architecture);
  for (const gguf::KeyValue& entry : model.keys()) {
    if (!entry.key.starts_with(prefix)) continue;
    hasher.add(entry.key);
    add_value(hasher, entry.value);
  }
  for (const gguf::Tensor& tensor : model.tensors())
    hasher.add(tensor.name)
        .add(static_cast<uint64_t>(tensor.format))
        .add_array<int64_t>(tensor.shape)
        .add(tensor.data);
  return hasher.finish();
}

std::string model_digest(const gguf::Reader& model) {
  Hasher hasher;
  for (const gguf::Tensor& tensor : model.tensors())
    hasher.add(tensor.name).add(static_cast<uint64_t>(tensor.format)).add_array<int64_t>(tensor.shape);
  return hasher.finish().hex();
}

}  // namespace snug
