#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

namespace snug {

static_assert(std::endian::native == std::endian::little,
              "numbers are read and written as they lie in memory");

/// Reads the primitives of a little-endian file front to back. Never reads past the end: throws Error that
/// says what was being read, in which file and at which byte.
class Cursor {
 public:
  Cursor(std::span<const std::byte> bytes, std::string path) : bytes_(bytes), path_(std::move(path)) {}

  uint64_t offset() const { return offset_; }
  uint64_t remaining() const { return bytes_.size() - offset_; }
  const std::string& path() const { return path_; }

  template <class T>
  T number(const char* what) {
    static_assert(std::is_arithmetic_v<T> && !std::is_same_v<T, bool>);
    T value;
    std::memcpy(&value, take(sizeof(T), what).data(), sizeof(T));
    return value;
  }

  /// The next `count` bytes, in place.
  std::span<const std::byte> take(uint64_t count, const char* what);

  /// A u64 length and as many bytes, in place.
  std::string_view string(const char* what);

  /// Refuses a count of things that take at least `least_bytes` each and cannot all be in the rest of the
  /// file, so that nothing is ever allocated on the word of the file alone.
  void check_count(uint64_t count, uint64_t least_bytes, const char* what) const;

  /// Throws Error at a byte of the file.
  [[noreturn]] void fail(uint64_t offset, std::string problem, std::string remedy = {}) const;

 private:
  std::span<const std::byte> bytes_;
  std::string path_;
  uint64_t offset_ = 0;
};

}  // namespace snug
