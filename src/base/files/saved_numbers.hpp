#pragma once

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/cursor.hpp"
#include "base/digest.hpp"
#include "base/files/atomic_file.hpp"
#include "base/files/mapped_file.hpp"
#include "base/progress.hpp"
#include "base/str.hpp"
#include "snug/error.hpp"

namespace snug {

/// Numbers, names and arrays of work under way, for a later start to go on from. On disk, little-endian: u64 magic,
/// key[16], then numbers (i64), names (i64 length and bytes) and arrays (i64 count and values) in the order they are
/// given, then the digest[16] of all behind the key. What is written is in place whole or not at all.
class NumberWriter {
 public:
  NumberWriter(const std::filesystem::path& path, uint64_t magic, const Digest& key) : file_{path, Existing::replace} {
    file_.write(std::as_bytes(std::span{&magic, 1}));
    file_.write(std::as_bytes(std::span{key.bytes}));
  }
  void operator()(const int64_t& number) { put(std::as_bytes(std::span{&number, 1})); }
  void operator()(const std::string& text) { array(std::span{text}); }
  template <class T>
  void operator()(const std::vector<T>& values) {
    array(std::span{values});
  }
  void operator()(std::span<const float> values) { array(values); }
  void finish() {
    const Digest digest = hasher_.finish();
    file_.write(std::as_bytes(std::span{digest.bytes}));
    file_.commit();
  }

 private:
  template <class T>
  void array(std::span<const T> values) {
    (*this)(static_cast<int64_t>(values.size()));
    put(std::as_bytes(values));
  }
  void put(std::span<const std::byte> part) {
    file_.write(part);
    hasher_.add(part);
  }

  AtomicFile file_;
  Hasher hasher_;
};

/// Reads them back, in the same order. Throws Error for what cannot be: the digest is checked at the end alone.
class NumberReader {
 public:
  explicit NumberReader(Cursor& in) : in_{in} {}
  void operator()(int64_t& number) { std::memcpy(&number, take(sizeof number).data(), sizeof number); }
  void operator()(std::string& text) { array(text); }
  template <class T>
  void operator()(std::vector<T>& values) {
    array(values);
  }
  void finish() {
    const Digest expected = hasher_.finish();
    const auto found = in_.take(expected.bytes.size(), "the digest");
    if (std::memcmp(found.data(), expected.bytes.data(), found.size()) != 0) fail("its digest is wrong");
  }
  [[noreturn]] void fail(const std::string& why) const { in_.fail(in_.offset(), why); }

 private:
  static constexpr int64_t kMost = int64_t{1} << 40;  // values of one array

  template <class Array>
  void array(Array& values) {
    using T = typename Array::value_type;
    int64_t count = 0;
    (*this)(count);
    if (count < 0 || count > kMost) fail("a count is out of range");
    in_.check_count(static_cast<uint64_t>(count), sizeof(T), "values");
    const auto bytes = take(static_cast<uint64_t>(count) * sizeof(T));
    values.resize(static_cast<size_t>(count));
    if (count > 0) std::memcpy(values.data(), bytes.data(), bytes.size());
  }
  std::span<const std::byte> take(uint64_t bytes) {
    const auto part = in_.take(bytes, "numbers");
    hasher_.add(part);
    return part;
  }

  Cursor& in_;
  Hasher hasher_;
};

/// What read(reader) makes of a file of this magic and key; nothing where there is none, or where it is of something
/// else or damaged, which is logged.
template <class Read>
auto load_numbers(const std::filesystem::path& path, uint64_t magic, const Digest& key, Read&& read)
    -> std::optional<decltype(read(std::declval<NumberReader&>()))> {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return std::nullopt;
  try {
    const MappedFile file{path};
    Cursor in{file.bytes(), path.string()};
    if (in.number<uint64_t>("the magic") != magic) in.fail(0, "it is something else");
    const auto found = in.take(key.bytes.size(), "the key");
    if (std::memcmp(found.data(), key.bytes.data(), found.size()) != 0) {
      log_line(str(path.string(), " is of another model, text or choice of options: starting anew"));
      return std::nullopt;
    }
    NumberReader reader{in};
    auto result = read(reader);
    reader.finish();
    return result;
  } catch (const Error& error) {
    if (error.fault() == Fault::io) throw;
    log_line(str(path.string(), " is damaged (", error.problem(), "): starting anew"));
    return std::nullopt;
  }
}

}  // namespace snug
