#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/cursor.hpp"
#include "base/files/file_kind.hpp"
#include "base/files/mapped_file.hpp"
#include "base/printable.hpp"
#include "base/str.hpp"
#include "imatrix/container.hpp"
#include "imatrix/imatrix_file.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

constexpr const char* kSquares = ".in_sum2";
constexpr const char* kSums = ".in_sum";
constexpr const char* kCounts = ".counts";
constexpr const char* kRemedy = "make the imatrix again with `snug imatrix` or llama-imatrix";
constexpr uint64_t kMinEntry = 4 + 1 + 4 + 4 + 4;  // of a legacy file: a one-letter name with one value

std::vector<float> floats(std::span<const std::byte> bytes) {
  std::vector<float> values(bytes.size() / sizeof(float));
  if (!values.empty()) std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
  return values;
}

/// Throws unless all values are finite and, where `signed_values` is not set, none is negative.
void check_values(std::span<const float> values, bool signed_values, std::string_view tensor,
                  const std::string& path) {
  for (size_t i = 0; i < values.size(); ++i)
    if (!std::isfinite(values[i]) || (values[i] < 0 && !signed_values))
      throw Error{str("the imatrix holds ", values[i], " in '", printable(tensor), "', column ", i),
                  path, kRemedy};
}

class GgufImatrix {
 public:
  explicit GgufImatrix(const ModelSource& file) : file_(file), path_(file.path().string()) {}

  Imatrix read() {
    read_keys();
    for (const Tensor& tensor : file_.tensors()) {
      if (tensor.name.ends_with(kSquares)) read_tensor(tensor, without(tensor.name, kSquares));
      if (tensor.name.ends_with(kCounts)) want(without(tensor.name, kCounts), kSquares);
    }
    if (imatrix_.tensors.empty()) throw Error{"the imatrix holds no statistics", path_, kRemedy};
    return std::move(imatrix_);
  }

 private:
  static std::string without(std::string_view name, std::string_view ending) {
    return std::string{name.substr(0, name.size() - ending.size())};
  }

  void read_keys() {
    for (const char* key : {"imatrix.datasets", "imatrix.chunk_count", "imatrix.chunk_size"})
      if (!file_.metadata().find(key)) missing_key(key);
    const MetadataArray& datasets = *file_.metadata().array("imatrix.datasets");
    if (datasets.element != MetadataType::string)
      throw Error{"'imatrix.datasets' is not an array of strings", path_, kRemedy};
    for (const std::string_view dataset : datasets.strings()) imatrix_.datasets.emplace_back(dataset);
    imatrix_.chunks = file_.metadata().integer("imatrix.chunk_count").value();
    imatrix_.chunk_tokens = file_.metadata().integer("imatrix.chunk_size").value();
  }

  [[noreturn]] void missing_key(const char* key) const {
    if (file_.metadata().find("general.architecture") && !file_.metadata().find("imatrix.datasets"))
      throw Error{"this is a model, not an imatrix", path_,
                  "name the file that llama-imatrix or `snug imatrix` wrote"};
    throw Error{str("the imatrix lacks the key '", key, "'"), path_, kRemedy};
  }

  const Tensor& want(const std::string& name, const char* ending) const {
    const Tensor* tensor = file_.find(name + ending);
    if (!tensor) throw Error{str("the imatrix has no '", printable(name), ending, "'"), path_, kRemedy};
    return *tensor;
  }

  std::vector<float> values_of(const Tensor& tensor, bool signed_values) const {
    if (tensor.format != FormatId::f32)
      throw Error{str("'", printable(tensor.name), "' is not F32"), path_, kRemedy};
    std::vector<float> values = floats(tensor.contiguous());
    check_values(values, signed_values, tensor.name, path_);
    return values;
  }

  void read_tensor(const Tensor& squares, const std::string& name) {
    ImatrixSums sums;
    sums.cols = squares.cols();
    sums.mats = squares.rows();
    sums.in_sum2 = values_of(squares, false);
    sums.counts = values_of(want(name, kCounts), false);
    if (sums.counts.size() == 1)
      sums.counts.resize(static_cast<size_t>(sums.mats), sums.counts[0]);  // older files
    if (static_cast<int64_t>(sums.counts.size()) != sums.mats) differing(name, kCounts);
    if (const Tensor* tensor = file_.find(name + kSums)) {
      if (tensor->cols() != sums.cols || tensor->rows() != sums.mats) differing(name, kSums);
      sums.in_sum = values_of(*tensor, true);
    }
    imatrix_.tensors.emplace(name, std::move(sums));
  }

  [[noreturn]] void differing(const std::string& name, const char* ending) const {
    throw Error{str("'", printable(name), ending, "' does not have the shape of its in_sum2"), path_,
                kRemedy};
  }

  const ModelSource& file_;
  std::string path_;
  Imatrix imatrix_;
};

class LegacyImatrix {
 public:
  LegacyImatrix(std::span<const std::byte> bytes, const std::string& path) : in_(bytes, path) {}

  Imatrix read() {
    imatrix_.legacy = true;
    const int32_t entries = in_.remaining() >= 4 ? in_.number<int32_t>("the number of entries") : 0;
    if (entries < 1 || static_cast<uint64_t>(entries) > in_.remaining() / kMinEntry)
      in_.fail(0, "this is no imatrix, neither GGUF nor the legacy form",
               "name the file that llama-imatrix or `snug imatrix` wrote");
    for (int32_t i = 0; i < entries; ++i) read_entry();
    if (in_.remaining() > 0) read_trailer();
    return std::move(imatrix_);
  }

 private:
  int32_t count(const char* what, int32_t least) {
    const uint64_t start = in_.offset();
    const auto value = in_.number<int32_t>(what);
    if (value < least) in_.fail(start, str(what, " is ", value), kRemedy);
    return value;
  }

  std::string text(int32_t length, const char* what) {
    const auto bytes = in_.take(static_cast<uint64_t>(length), what);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

  void read_entry() {
    const uint64_t start = in_.offset();
    const std::string name = text(count("the length of a name", 1), "a name");
    const int32_t calls = count("the number of calls", 0);
    const int32_t values = count("the number of values", 1);
    ImatrixSums sums;
    sums.cols = values;
    sums.in_sum2 = floats(in_.take(static_cast<uint64_t>(values) * sizeof(float), "the values of an entry"));
    sums.counts = {static_cast<float>(std::max(calls, 1))};  // without calls the values are means already
    check_values(sums.in_sum2, false, name, in_.path());
    if (!imatrix_.tensors.emplace(name, std::move(sums)).second)
      in_.fail(start, str("the tensor '", printable(name), "' is there twice"), kRemedy);
  }

  void read_trailer() {
    imatrix_.chunks = count("the number of chunks", 0);
    if (in_.remaining() > 0)
      imatrix_.datasets.push_back(text(count("the length of the dataset's name", 0), "its name"));
    if (in_.remaining() > 0) in_.fail(in_.offset(), "the imatrix goes on where it should end", kRemedy);
  }

  Cursor in_;
  Imatrix imatrix_;
};

bool is_gguf(std::span<const std::byte> bytes) {
  return bytes.size() >= 4 && std::memcmp(bytes.data(), "GGUF", 4) == 0;
}

}  // namespace

Imatrix read_imatrix(std::span<const std::byte> bytes, const std::string& name) {
  refuse_foreign("imatrix", bytes, name);
  if (!is_gguf(bytes)) return LegacyImatrix{bytes, name}.read();
  const ModelSource file = read_container(bytes, name);
  return GgufImatrix{file}.read();
}

Imatrix read_imatrix(const std::filesystem::path& path) {
  const MappedFile file{path};
  return read_imatrix(file.bytes(), path.string());
}

}  // namespace snug
