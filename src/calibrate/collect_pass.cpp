#include "calibrate/collect_pass.hpp"

#include <cstring>
#include <span>
#include <string>
#include <type_traits>

#include "base/atomic_file.hpp"
#include "base/digest.hpp"
#include "base/mapped_file.hpp"
#include "base/progress.hpp"
#include "base/str.hpp"
#include "base/cursor.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

constexpr uint64_t kMagic = 0x31736D7573677573;  // "sugsums1", the 1 being the version
constexpr int64_t kMost = int64_t{1} << 40;      // values of one array

/// On disk, little-endian: u64 magic, key[16], then numbers (i64), names (i64 length and bytes) and arrays
/// (i64 count and values) in the order of visit(), then the digest[16] of all parts behind the key. The
/// same visit() writes and reads.
class PassWriter {
 public:
  PassWriter(const std::filesystem::path& path, const Digest& key) : file_{path, Existing::replace} {
    file_.write(std::as_bytes(std::span{&kMagic, 1}));
    file_.write(std::as_bytes(std::span{key.bytes}));
  }
  void operator()(const int64_t& number) { put(std::as_bytes(std::span{&number, 1})); }
  void operator()(const std::string& text) { array(std::span{text}); }
  template <class T>
  void operator()(const std::vector<T>& values) {
    array(std::span{values});
  }
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

class PassReader {
 public:
  explicit PassReader(Cursor& in) : in_{in} {}
  void operator()(int64_t& number) { std::memcpy(&number, take(sizeof number).data(), sizeof number); }
  void operator()(std::string& text) { array(text); }
  template <class T>
  void operator()(std::vector<T>& values) {
    array(values);
  }
  void finish() {
    const Digest expected = hasher_.finish();
    const auto found = in_.take(expected.bytes.size(), "the digest");
    if (std::memcmp(found.data(), expected.bytes.data(), found.size()) != 0)
      in_.fail(0, "its digest is wrong");
  }

 private:
  template <class Array>
  void array(Array& values) {
    using T = typename Array::value_type;
    int64_t count = 0;
    (*this)(count);
    if (count < 0 || count > kMost) in_.fail(in_.offset(), "a count is out of range");
    in_.check_count(static_cast<uint64_t>(count), sizeof(T), "values");
    const auto bytes = take(static_cast<uint64_t>(count) * sizeof(T));
    values.resize(static_cast<size_t>(count));
    if (count > 0) std::memcpy(values.data(), bytes.data(), bytes.size());
  }
  std::span<const std::byte> take(uint64_t bytes) {
    const auto part = in_.take(bytes, "sums");
    hasher_.add(part);
    return part;
  }

  Cursor& in_;
  Hasher hasher_;
};

template <class Visitor, class Sums>
void visit_columns(Visitor& visit, Sums& sums) {
  visit(sums.cols), visit(sums.mats), visit(sums.squares), visit(sums.sums), visit(sums.counts);
}

template <class Visitor, class Sums>
void visit_moments(Visitor& visit, Sums& m) {
  visit(m.input), visit(m.dim), visit(m.first), visit(m.mats), visit(m.counts), visit(m.sums);
}

CollectPass read_pass(Cursor& in) {
  PassReader read{in};
  CollectPass pass;
  int64_t tensors = 0, moments = 0;
  read(pass.chunks_done), read(tensors), read(moments);
  for (int64_t i = 0; i < tensors; ++i) {
    std::string name;
    read(name);
    visit_columns(read, pass.columns[name]);
  }
  for (int64_t i = 0; i < moments; ++i) visit_moments(read, pass.moments.emplace_back());
  read.finish();
  return pass;
}

}  // namespace

void save_pass(const std::filesystem::path& path, const Digest& key, const CollectPass& pass) {
  PassWriter write{path, key};
  write(pass.chunks_done);
  write(static_cast<int64_t>(pass.columns.size()));
  write(static_cast<int64_t>(pass.moments.size()));
  for (const auto& [name, sums] : pass.columns) {
    write(name);
    visit_columns(write, sums);
  }
  for (const MomentSums& moments : pass.moments) visit_moments(write, moments);
  write.finish();
}

std::optional<CollectPass> load_pass(const std::filesystem::path& path, const Digest& key) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return std::nullopt;
  try {
    const MappedFile file{path};
    Cursor in{file.bytes(), path.string()};
    if (in.number<uint64_t>("the magic") != kMagic) in.fail(0, "it is something else");
    const auto found = in.take(key.bytes.size(), "the key");
    if (std::memcmp(found.data(), key.bytes.data(), found.size()) != 0) {
      log_line(str(path.string(), " is of another model, text or choice of options: starting anew"));
      return std::nullopt;
    }
    return read_pass(in);
  } catch (const Error& error) {
    if (error.fault() == Fault::io) throw;
    log_line(str(path.string(), " is damaged (", error.problem(), "): starting anew"));
    return std::nullopt;
  }
}

}  // namespace snug
