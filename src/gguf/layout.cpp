#include "gguf/layout.hpp"

#include <algorithm>
#include <array>
#include <limits>

#include "base/cursor.hpp"
#include "base/events.hpp"
#include "base/files/file_kind.hpp"
#include "base/printable.hpp"
#include "base/str.hpp"
#include "snug/error.hpp"

namespace snug::gguf {
namespace {

constexpr std::string_view kMagic = "GGUF";
constexpr uint64_t kMaxElements = uint64_t{1} << 30;
constexpr uint64_t kOften = 1 << 16;                      // strings, between two looks for Ctrl-C
constexpr uint64_t kMinKey = 8 + 1 + 4 + 1;             // a one-letter key with a one-byte value
constexpr uint64_t kMinTensor = 8 + 1 + 4 + 8 + 4 + 8;  // a one-letter name with one dimension
constexpr const char* kDamaged =
    "the file is damaged or was written by a faulty tool; copy or convert it again";

/// Bytes of a value of each type; 0 where that depends on the value.
constexpr std::array<size_t, 13> kTypeBytes{1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

std::string_view start_of(std::span<const std::byte> bytes) {
  constexpr size_t kEnough = 512;
  return {reinterpret_cast<const char*>(bytes.data()), std::min(bytes.size(), kEnough)};
}

class LayoutReader {
 public:
  LayoutReader(std::span<const std::byte> bytes, const std::string& path) : bytes_(bytes), in_(bytes, path) {}

  FileContents read() {
    read_head();
    read_keys();
    read_alignment();
    read_tensors();
    place_data();
    return std::move(file_);
  }

 private:
  void read_head();
  void read_keys();
  void read_alignment();
  void read_tensors();
  void place_data();
  Tensor read_tensor();
  void place(size_t index, uint64_t data_start, uint64_t expected);

  MetadataType read_type();
  MetadataValue read_value(std::string_view key);
  MetadataArray read_array(std::string_view key);

  std::span<const std::byte> bytes_;
  Cursor in_;
  FileContents file_;
  uint64_t n_tensors_ = 0, n_keys_ = 0, infos_start_ = 0;
  std::vector<uint64_t> offsets_,
      info_at_;  // of each tensor: its data, as the file says; its info in the file
};

void LayoutReader::read_head() {
  const auto magic = in_.take(std::min<uint64_t>(kMagic.size(), in_.remaining()), "the magic");
  const std::string_view text{reinterpret_cast<const char*>(magic.data()), magic.size()};
  if (text != kMagic) {
    if (const auto foreign = foreign_file(start_of(bytes_)))
      in_.fail(0, str("not a GGUF file: it is ", foreign->what), foreign->remedy);
    in_.fail(0, str("not a GGUF file: it starts with '", printable(text), "'"),
             "name a GGUF file, or the folder of a Hugging Face checkpoint");
  }
  file_.version = in_.number<uint32_t>("the version");
  if ((file_.version & 0xffff) == 0)
    in_.fail(4, "the file is big-endian", "convert it with llama.cpp's gguf_convert_endian.py first");
  if (file_.version != 2 && file_.version != 3)
    in_.fail(4, str("GGUF version ", file_.version, " is not known; 2 and 3 are"),
             "convert the model again with a current llama.cpp");
  n_tensors_ = in_.number<uint64_t>("the number of tensors");
  n_keys_ = in_.number<uint64_t>("the number of keys");
  in_.check_count(n_tensors_, kMinTensor, "tensors");
  in_.check_count(n_keys_, kMinKey, "keys");
}

void LayoutReader::read_keys() {
  for (uint64_t i = 0; i < n_keys_; ++i) {
    check_cancelled();
    const uint64_t start = in_.offset();
    const std::string_view key = in_.string("a key");
    if (key.empty()) in_.fail(start, "an empty key", kDamaged);
    if (!file_.key_index.emplace(key, file_.keys.size()).second)
      in_.fail(start, str("the key '", printable(key), "' is there twice"), kDamaged);
    file_.keys.push_back({key, read_value(key)});
  }
}

MetadataType LayoutReader::read_type() {
  const uint64_t start = in_.offset();
  const auto type = in_.number<uint32_t>("a value type");
  if (type >= kTypeBytes.size()) in_.fail(start, str("value type ", type, " is not known"), kDamaged);
  return static_cast<MetadataType>(type);
}

MetadataValue LayoutReader::read_value(std::string_view key) {
  constexpr const char* what = "a value";
  switch (read_type()) {
    case MetadataType::u8:
      return in_.number<uint8_t>(what);
    case MetadataType::i8:
      return in_.number<int8_t>(what);
    case MetadataType::u16:
      return in_.number<uint16_t>(what);
    case MetadataType::i16:
      return in_.number<int16_t>(what);
    case MetadataType::u32:
      return in_.number<uint32_t>(what);
    case MetadataType::i32:
      return in_.number<int32_t>(what);
    case MetadataType::f32:
      return in_.number<float>(what);
    case MetadataType::boolean:
      return in_.number<uint8_t>(what) != 0;
    case MetadataType::string:
      return in_.string(what);
    case MetadataType::array:
      return read_array(key);
    case MetadataType::u64:
      return in_.number<uint64_t>(what);
    case MetadataType::i64:
      return in_.number<int64_t>(what);
    case MetadataType::f64:
      return in_.number<double>(what);
  }
  in_.fail(in_.offset(), "unreachable value type");
}

MetadataArray LayoutReader::read_array(std::string_view key) {
  const uint64_t start = in_.offset();
  MetadataArray array;
  array.element = read_type();
  array.count = in_.number<uint64_t>("an array length");
  if (array.element == MetadataType::array)
    in_.fail(start, str("the key '", printable(key), "' holds an array of arrays, which GGUF does not allow"),
             kDamaged);
  if (array.count > kMaxElements)
    in_.fail(start, str("the array under '", printable(key), "' has an absurd length: ", array.count),
             kDamaged);
  if (array.element != MetadataType::string) {
    array.bytes = in_.take(array.count * element_bytes(array.element), "an array");
    return array;
  }
  const uint64_t first = in_.offset();
  in_.check_count(array.count, sizeof(uint64_t), "strings in an array");
  for (uint64_t i = 0; i < array.count; ++i) {
    if (i % kOften == 0) check_cancelled();
    in_.string("a string of an array");
  }
  array.bytes = bytes_.subspan(first, in_.offset() - first);
  return array;
}

void LayoutReader::read_alignment() {
  const MetadataValue* value = file_.find("general.alignment");
  if (!value) return;
  const auto* alignment = std::get_if<uint32_t>(value);
  if (!alignment || !std::has_single_bit(*alignment))
    in_.fail(in_.offset(), "general.alignment is not a u32 power of two", kDamaged);
  file_.alignment = *alignment;
}

void LayoutReader::read_tensors() {
  infos_start_ = in_.offset();
  in_.check_count(n_tensors_, kMinTensor, "tensors");
  for (uint64_t i = 0; i < n_tensors_; ++i) {
    check_cancelled();
    const uint64_t start = in_.offset();
    const Tensor tensor = read_tensor();
    if (!file_.tensor_index.emplace(tensor.name, file_.tensors.size()).second)
      in_.fail(start, str("the tensor '", printable(tensor.name), "' is there twice"), kDamaged);
    file_.tensors.push_back(tensor);
    offsets_.push_back(in_.number<uint64_t>("a tensor's offset"));
    info_at_.push_back(start);
  }
}

Tensor LayoutReader::read_tensor() {
  const uint64_t start = in_.offset();
  Tensor tensor;
  tensor.name = in_.string("a tensor's name");
  if (tensor.name.empty() || tensor.name.size() > kLongestName)
    in_.fail(start,
             str("a tensor's name has ", tensor.name.size(), " bytes; 1 to ", kLongestName, " are allowed"),
             kDamaged);
  if (!is_utf8(tensor.name))
    in_.fail(start, str("the tensor's name '", printable(tensor.name), "' is not UTF-8"), kDamaged);
  const auto dims = in_.number<uint32_t>("a tensor's dimensions");
  if (dims < 1 || dims > kMaxDims)
    in_.fail(start,
             str("tensor '", printable(tensor.name), "' has ", dims, " dimensions; 1 to 4 are allowed"),
             kDamaged);
  tensor.dims = static_cast<int>(dims);
  for (uint32_t d = 0; d < dims; ++d) {
    tensor.shape[d] = in_.number<int64_t>("a tensor's shape");
    if (tensor.shape[d] < 1)
      in_.fail(start, str("tensor '", printable(tensor.name), "' has a dimension of ", tensor.shape[d]),
               kDamaged);
  }
  tensor.format = FormatId{in_.number<uint32_t>("a tensor's type")};
  if (!is_gguf_type(tensor.format))
    in_.fail(start,
             str("tensor '", printable(tensor.name), "' has type ", static_cast<uint32_t>(tensor.format),
                 ", which is not known"),
             "the file comes from a fork or a newer tool; convert the model again to F16 or BF16");
  return tensor;
}

/// ggml packs strictly: data in the order of the infos, each at the next multiple of the alignment. The last
/// is padded, too, but not by every tool, and nobody reads the padding.
void LayoutReader::place_data() {
  if (file_.tensors.empty()) return;
  const uint64_t data_start = round_up(in_.offset(), file_.alignment);
  uint64_t expected = 0;
  for (size_t i = 0; i < file_.tensors.size(); ++i) {
    place(i, data_start, expected);
    expected += round_up(static_cast<uint64_t>(file_.tensors[i].bytes()), file_.alignment);
  }
}

void LayoutReader::place(size_t index, uint64_t data_start, uint64_t expected) {
  Tensor& tensor = file_.tensors[index];
  const auto name = [&] { return str("tensor '", printable(tensor.name), "'"); };
  const int64_t bytes = data_bytes(tensor.format, tensor.shape);
  if (bytes < 0)
    in_.fail(info_at_[index],
             str(name(), " has rows of ", tensor.cols(), " weights, which ", format_name(tensor.format),
                 " cannot hold, or its size overflows"),
             kDamaged);
  if (offsets_[index] != expected)
    in_.fail(
        info_at_[index],
        str(name(), offsets_[index] < expected ? " overlaps the tensor before it" : " leaves a gap before it",
            ": offset ", offsets_[index], ", expected ", expected),
        kDamaged);
  const uint64_t size = bytes_.size();
  const auto needed = static_cast<uint64_t>(bytes);
  if (data_start > size || expected > size - data_start || needed > size - data_start - expected)
    in_.fail(info_at_[index],
             str(name(), " runs past the end of the file: offset ", data_start, " + ", expected, ", needs ",
                 bytes, " bytes, the file has ", size),
             "the file is cut short; compare its size with the source and copy it again");
  tensor.data = bytes_.data() + data_start + expected;
}

}  // namespace

const MetadataValue* FileContents::find(std::string_view key) const {
  const auto found = key_index.find(key);
  return found == key_index.end() ? nullptr : &keys[found->second].value;
}

FileContents read_layout(std::span<const std::byte> bytes, const std::string& path) {
  return LayoutReader{bytes, path}.read();
}

int64_t data_bytes(FormatId format, std::span<const int64_t> shape) {
  const BlockShape block = block_shape(format);
  if (block.block_weights == 0 || shape.empty() || shape[0] < 1 || shape[0] % block.block_weights != 0)
    return -1;
  int64_t weights = 1, bytes = block.block_bytes;
  for (const int64_t dim : shape)
    if (dim < 1 || __builtin_mul_overflow(weights, dim, &weights)) return -1;
  if (__builtin_mul_overflow(weights / block.block_weights, bytes, &bytes)) return -1;
  return bytes;
}

size_t element_bytes(MetadataType type) {
  return kTypeBytes[static_cast<size_t>(type)];
}

}  // namespace snug::gguf
