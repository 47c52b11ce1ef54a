#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "snug/format.hpp"

namespace snug::gguf {

/// Numbers as in the file; also the index of the alternative in Value.
enum class ValueType : uint32_t { u8, i8, u16, i16, u32, i32, f32, boolean, string, array, u64, i64, f64 };

/// A packed array inside the mapped file: numbers little-endian back to back, strings each behind a u64
/// length. Its bounds, and those of every string in it, were checked when the file was opened.
struct Array {
  ValueType element = ValueType::u8;
  uint64_t count = 0;
  std::span<const std::byte> bytes;

  std::vector<std::string_view> strings() const;  // throws Error unless element is string
  std::vector<int64_t> integers() const;          // any integer or boolean element
  std::vector<double> reals() const;              // any number
};

using Value = std::variant<uint8_t, int8_t, uint16_t, int16_t, uint32_t, int32_t, float, bool,
                           std::string_view, Array, uint64_t, int64_t, double>;

struct KeyValue {
  std::string_view key;
  Value value;
};

/// A tensor of a GGUF file. Its data lie in the mapped file; the type may be any of ggml's, known to
/// formats() or not.
struct Tensor {
  std::string_view name;
  FormatId format{};
  int dims = 0;                              // 1 to 4
  std::array<int64_t, 4> shape{1, 1, 1, 1};  // shape[0] contiguous (columns), then rows, then experts
  std::span<const std::byte> data;
  int shard = 0;  // which file of a split

  int64_t cols() const { return shape[0]; }
  int64_t rows() const { return shape[1] * shape[2] * shape[3]; }  // experts' rows one after another
  int64_t experts() const { return shape[2] * shape[3]; }          // 1 for a matrix
  int64_t weights() const { return cols() * rows(); }
  int64_t row_bytes() const { return static_cast<int64_t>(data.size()) / rows(); }
  std::span<const std::byte> row(int64_t r) const {
    return data.subspan(static_cast<size_t>(r * row_bytes()), static_cast<size_t>(row_bytes()));
  }
};

/// A GGUF file (v2 or v3), or a split one named by its first file; memory-mapped, zero-copy. Views into it
/// live as long as the Reader. Every length, offset, shape and name is checked; a bad file throws Error with
/// path and offset. Names may hold any bytes: show them through printable().
class Reader {
 public:
  explicit Reader(const std::filesystem::path& path);
  /// A single file already in memory, which must outlive the Reader; `name` is for messages.
  Reader(std::span<const std::byte> bytes, const std::string& name);
  ~Reader();
  Reader(Reader&&) noexcept;
  Reader& operator=(Reader&&) noexcept;

  const std::filesystem::path& path() const;
  uint32_t version() const;
  uint32_t alignment() const;
  int shards() const;
  int64_t file_bytes() const;  // all shards together

  std::span<const KeyValue> keys() const;   // of the first shard, in file order
  std::span<const Tensor> tensors() const;  // of all shards, in file order
  const Value* find(std::string_view key) const;
  const Tensor* find_tensor(std::string_view name) const;

  /// The value under `key` if it is there; throws Error naming file and key if it is of another kind.
  std::optional<int64_t> integer(std::string_view key) const;  // any integer type or bool
  std::optional<double> real(std::string_view key) const;      // any number
  std::optional<bool> boolean(std::string_view key) const;
  std::optional<std::string_view> text(std::string_view key) const;
  const Array* array(std::string_view key) const;  // nullptr if missing

 private:
  struct Contents;
  std::unique_ptr<Contents> contents_;
};

}  // namespace snug::gguf
