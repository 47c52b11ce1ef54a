#include "calibrate/collect_pass.hpp"

#include <algorithm>
#include <cstring>
#include <span>
#include <string>
#include <utility>

#include "base/cursor.hpp"
#include "base/digest.hpp"
#include "base/files/atomic_file.hpp"
#include "base/files/mapped_file.hpp"
#include "base/progress.hpp"
#include "base/str.hpp"
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

void write_sums(PassWriter& write, const ColumnSumsByTensor& columns, const std::vector<MomentSums>& moments) {
  write(static_cast<int64_t>(columns.size()));
  write(static_cast<int64_t>(moments.size()));
  for (const auto& [name, sums] : columns) {
    write(name);
    visit_columns(write, sums);
  }
  for (const MomentSums& sums : moments) visit_moments(write, sums);
}

void read_sums(PassReader& read, const Cursor& in, ColumnSumsByTensor& columns, std::vector<MomentSums>& moments) {
  int64_t tensors = 0, inputs = 0;
  read(tensors), read(inputs);
  for (int64_t i = 0; i < tensors; ++i) {
    std::string name;
    read(name);
    ColumnSums& sums = columns[name];
    visit_columns(read, sums);
    if (!sums.is_sound()) in.fail(in.offset(), "sums of columns that cannot be");
  }
  for (int64_t i = 0; i < inputs; ++i) {
    visit_moments(read, moments.emplace_back());
    if (!moments.back().is_sound()) in.fail(in.offset(), "second moments that cannot be");
  }
}

CollectPass read_pass(Cursor& in) {
  PassReader read{in};
  CollectPass pass;
  read(pass.chunks_done);
  read_sums(read, in, pass.columns, pass.moments);
  read.finish();
  return pass;
}

std::vector<infer::Activations> read_rows(PassReader& read, const Cursor& in) {
  constexpr int64_t kMostArrays = 1 << 16;
  int64_t arrays = 0;
  read(arrays);
  if (arrays < 1 || arrays > kMostArrays) in.fail(in.offset(), "a chunk stands nowhere");
  std::vector<infer::Activations> rows;
  for (int64_t i = 0; i < arrays; ++i) {
    int64_t count = 0;
    std::vector<float> values;
    read(count), read(values);
    if (count < 1 || std::ssize(values) % count != 0) in.fail(in.offset(), "rows of no length");
    rows.push_back(infer::Activations::unset(count, std::ssize(values) / count));
    std::ranges::copy(values, rows.back().at(0));
  }
  return rows;
}

/// What read(in) makes of a file of this run; nothing where it is of another or damaged.
template <class Read>
auto load(const std::filesystem::path& path, const Digest& key, Read&& read)
    -> std::optional<decltype(read(std::declval<Cursor&>()))> {
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
    return read(in);
  } catch (const Error& error) {
    if (error.fault() == Fault::io) throw;
    log_line(str(path.string(), " is damaged (", error.problem(), "): starting anew"));
    return std::nullopt;
  }
}

}  // namespace

void save_pass(const std::filesystem::path& path, const Digest& key, const CollectPass& pass) {
  PassWriter write{path, key};
  write(pass.chunks_done);
  write_sums(write, pass.columns, pass.moments);
  write.finish();
}

std::optional<CollectPass> load_pass(const std::filesystem::path& path, const Digest& key) {
  return load(path, key, [](Cursor& in) { return read_pass(in); });
}

void save_place(const std::filesystem::path& path, const Digest& key, const CollectPlace& place, int64_t chunks,
                const std::function<std::vector<infer::Activations>(int64_t chunk)>& rows) {
  PassWriter write{path, key};
  write(place.stage), write(place.pass), write(int64_t{place.finished}), write(chunks);
  write_sums(write, place.columns, place.moments);
  for (int64_t c = 0; c < chunks; ++c) {
    const std::vector<infer::Activations> all = rows(c);
    write(std::ssize(all));
    for (const infer::Activations& part : all) write(part.count()), write(part.values());
  }
  write.finish();
}

std::optional<CollectPlace> load_place(
    const std::filesystem::path& path, const Digest& key, int64_t chunks,
    const std::function<void(const CollectPlace& place, int64_t chunk, std::vector<infer::Activations> rows)>& take) {
  return load(path, key, [&](Cursor& in) {
    PassReader read{in};
    CollectPlace place;
    int64_t finished = 0, saved = 0;
    read(place.stage), read(place.pass), read(finished), read(saved);
    place.finished = finished != 0;
    if (saved != chunks) in.fail(in.offset(), "it is of other chunks");
    read_sums(read, in, place.columns, place.moments);
    for (int64_t c = 0; c < chunks; ++c) take(place, c, read_rows(read, in));
    read.finish();
    return place;
  });
}

}  // namespace snug
