#include "gguf/reader.hpp"

#include <utility>

#include "base/file_kind.hpp"
#include "base/mapped_file.hpp"
#include "base/printable.hpp"
#include "base/str.hpp"
#include "gguf/layout.hpp"
#include "gguf/split.hpp"
#include "gguf/value.hpp"
#include "snug/error.hpp"

namespace snug::gguf {

struct Reader::Contents {
  std::filesystem::path path;
  std::vector<MappedFile> maps;
  FileContents first;  // tensors and their index: of all shards
  int shards = 1;
  int64_t bytes = 0;

  int64_t split_key(const FileContents& file, const std::string& shard, const char* key) const;
  void add_shards();
  void add_shard(const std::string& shard, int number);
};

namespace {

constexpr const char* kSplitRemedy =
    "keep all files of the split together, under the names they were written with";

/// Whether the file says that it is one of several.
bool is_split(const FileContents& file) {
  const Value* count = file.find("split.count");
  return count && as_integer(*count).value_or(2) > 1;
}

[[noreturn]] void wrong_kind(const std::filesystem::path& path, std::string_view key, const char* wanted) {
  throw Error{str("the key '", printable(key), "' is not ", wanted), path.string(),
              "the file was written by a faulty tool; convert the model again"};
}

}  // namespace

/// A number that every file of a split must have.
int64_t Reader::Contents::split_key(const FileContents& file, const std::string& shard,
                                    const char* key) const {
  const Value* value = file.find(key);
  const auto number = value ? as_integer(*value) : std::nullopt;
  if (!number) throw Error{str("a file of a split without the number '", key, "'"), shard, kSplitRemedy};
  return *number;
}

void Reader::Contents::add_shards() {
  const std::string own = path.string();
  const int64_t count = split_key(first, own, "split.count");
  const int64_t number = split_key(first, own, "split.no");
  const auto name = parse_split_name(path);
  if (!name || name->count != count || name->number != number + 1)
    throw Error{
        str("the file is number ", number + 1, " of a split into ", count, ", but its name does not say so"),
        own, str("name it as it was written: <name>-00001-of-0000N.gguf; ", kSplitRemedy)};
  if (number != 0)
    throw Error{str("file ", number + 1, " of a split; the first holds the metadata"), own,
                str("name the first one: ", split_name(name->prefix, 1, name->count).string())};
  const int64_t total = split_key(first, own, "split.tensors.count");
  shards = name->count;
  for (int shard = 1; shard < shards; ++shard)
    add_shard(split_name(name->prefix, shard + 1, shards).string(), shard);
  if (static_cast<int64_t>(first.tensors.size()) != total)
    throw Error{str("the split should have ", total, " tensors, its files have ", first.tensors.size()), own,
                kSplitRemedy};
}

void Reader::Contents::add_shard(const std::string& shard, int number) {
  if (!std::filesystem::exists(shard))
    throw Error{"a file of the split is missing", shard, kSplitRemedy, Fault::io};
  maps.emplace_back(shard);
  const FileContents file = read_layout(maps.back().bytes(), shard);
  bytes += static_cast<int64_t>(maps.back().bytes().size());
  if (split_key(file, shard, "split.no") != number || split_key(file, shard, "split.count") != shards)
    throw Error{str("the file should be number ", number + 1, " of ", shards, ", but says it is another"),
                shard, kSplitRemedy};
  for (Tensor tensor : file.tensors) {
    tensor.shard = number;
    if (!first.tensor_index.emplace(tensor.name, first.tensors.size()).second)
      throw Error{str("the tensor '", printable(tensor.name), "' is in two files of the split"), shard,
                  kSplitRemedy};
    first.tensors.push_back(tensor);
  }
}

Reader::Reader(const std::filesystem::path& path) : contents_(std::make_unique<Contents>()) {
  refuse_folder(path);
  Contents& c = *contents_;
  c.path = path;
  c.maps.emplace_back(path);
  c.bytes = static_cast<int64_t>(c.maps[0].bytes().size());
  c.first = read_layout(c.maps[0].bytes(), path.string());
  if (is_split(c.first)) c.add_shards();
}

Reader::Reader(std::span<const std::byte> bytes, const std::string& name)
    : contents_(std::make_unique<Contents>()) {
  contents_->path = name;
  contents_->bytes = static_cast<int64_t>(bytes.size());
  contents_->first = read_layout(bytes, name);
  if (is_split(contents_->first)) throw Error{"one file of a split, read alone", name, kSplitRemedy};
}

Reader::~Reader() = default;
Reader::Reader(Reader&&) noexcept = default;
Reader& Reader::operator=(Reader&&) noexcept = default;

const std::filesystem::path& Reader::path() const {
  return contents_->path;
}
uint32_t Reader::version() const {
  return contents_->first.version;
}
uint32_t Reader::alignment() const {
  return contents_->first.alignment;
}
int Reader::shards() const {
  return contents_->shards;
}
int64_t Reader::file_bytes() const {
  return contents_->bytes;
}
std::span<const KeyValue> Reader::keys() const {
  return contents_->first.keys;
}
std::span<const Tensor> Reader::tensors() const {
  return contents_->first.tensors;
}
const Value* Reader::find(std::string_view key) const {
  return contents_->first.find(key);
}

const Tensor* Reader::find_tensor(std::string_view name) const {
  const auto& index = contents_->first.tensor_index;
  const auto found = index.find(name);
  return found == index.end() ? nullptr : &contents_->first.tensors[found->second];
}

std::optional<int64_t> Reader::integer(std::string_view key) const {
  const Value* value = find(key);
  if (!value) return {};
  const auto number = as_integer(*value);
  if (!number) wrong_kind(path(), key, "an integer");
  return number;
}

std::optional<double> Reader::real(std::string_view key) const {
  const Value* value = find(key);
  if (!value) return {};
  const auto number = as_real(*value);
  if (!number) wrong_kind(path(), key, "a number");
  return number;
}

std::optional<bool> Reader::boolean(std::string_view key) const {
  const Value* value = find(key);
  if (!value) return {};
  if (!std::holds_alternative<bool>(*value)) wrong_kind(path(), key, "a boolean");
  return std::get<bool>(*value);
}

std::optional<std::string_view> Reader::text(std::string_view key) const {
  const Value* value = find(key);
  if (!value) return {};
  if (!std::holds_alternative<std::string_view>(*value)) wrong_kind(path(), key, "a string");
  return std::get<std::string_view>(*value);
}

const Array* Reader::array(std::string_view key) const {
  const Value* value = find(key);
  if (!value) return nullptr;
  if (!std::holds_alternative<Array>(*value)) wrong_kind(path(), key, "an array");
  return &std::get<Array>(*value);
}

}  // namespace snug::gguf
