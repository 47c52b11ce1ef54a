#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace snug::test {

/// A GGUF file put together byte by byte, right or wrong as wanted; knows nothing of the library's writer.
class GgufBytes {
 public:
  template <class T>
  static std::string le(T value) {
    std::string bytes(sizeof(T), '\0');
    std::memcpy(bytes.data(), &value, sizeof(T));
    return bytes;
  }
  static std::string text(std::string_view s) { return le<uint64_t>(s.size()) + std::string{s}; }

  uint32_t version = 3;
  uint32_t alignment = 32;
  std::string magic = "GGUF";

  /// A key with a value already encoded.
  GgufBytes& key(std::string_view name, uint32_t type, std::string_view value) {
    keys_ += text(name) + le(type) + std::string{value};
    ++n_keys;
    return *this;
  }
  GgufBytes& key(std::string_view name, std::string_view value) { return key(name, 8, text(value)); }
  GgufBytes& key_u32(std::string_view name, uint32_t value) { return key(name, 4, le(value)); }

  /// A tensor at the next right place; `data` is padded.
  GgufBytes& tensor(std::string_view name, const std::vector<int64_t>& shape, uint32_t type,
                    std::string data) {
    return tensor_at(name, shape, type, data_.size(), std::move(data));
  }
  GgufBytes& tensor_at(std::string_view name, const std::vector<int64_t>& shape, uint32_t type,
                       uint64_t offset, std::string data) {
    infos_ += text(name) + le(static_cast<uint32_t>(shape.size()));
    for (const int64_t dim : shape) infos_ += le(dim);
    infos_ += le(type) + le(offset);
    data.resize((data.size() + alignment - 1) / alignment * alignment);
    data_ += data;
    ++n_tensors;
    return *this;
  }
  GgufBytes& f32(std::string_view name, const std::vector<int64_t>& shape, const std::vector<float>& values) {
    return tensor(name, shape, 0, {reinterpret_cast<const char*>(values.data()), values.size() * 4});
  }

  std::string bytes() const {
    std::string file = magic + le(version) + le(n_tensors) + le(n_keys) + keys_ + infos_;
    if (n_tensors > 0) file.resize((file.size() + alignment - 1) / alignment * alignment);
    return file + data_;
  }
  void save(const std::filesystem::path& path) const {
    const std::string all = bytes();
    std::ofstream{path, std::ios::binary}.write(all.data(), static_cast<std::streamsize>(all.size()));
  }

  int64_t n_tensors = 0, n_keys = 0;  // as the header will say

 private:
  std::string keys_, infos_, data_;
};

inline std::span<const std::byte> as_bytes(const std::string& text) {
  return std::as_bytes(std::span{text.data(), text.size()});
}

}  // namespace snug::test
