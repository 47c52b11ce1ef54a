#include "gguf/reader.hpp"

#include <utility>

#include "base/files/file_kind.hpp"
#include "base/files/mapped_file.hpp"
#include "base/printable.hpp"
#include "base/str.hpp"
#include "gguf/layout.hpp"
#include "gguf/split.hpp"
#include "snug/error.hpp"

namespace snug::gguf {
namespace {

constexpr const char* kSplitRemedy =
    "keep all files of the split together, under the names they were written with";

/// Whether the file says that it is one of several.
bool is_split(const FileContents& file) {
  const MetadataValue* count = file.find("split.count");
  return count && as_integer(*count).value_or(2) > 1;
}

/// A number that every file of a split must have.
int64_t split_key(const FileContents& file, const std::string& shard, const char* key) {
  const MetadataValue* value = file.find(key);
  const auto number = value ? as_integer(*value) : std::nullopt;
  if (!number) throw Error{str("a file of a split without the number '", key, "'"), shard, kSplitRemedy};
  return *number;
}

/// One file after another into one model.
class Assembler {
 public:
  explicit Assembler(const std::filesystem::path& path) {
    refuse_folder(path);
    model_.path = path;
    first_ = add(path);
    if (is_split(first_)) add_shards();
  }

  /// Of bytes in memory.
  Assembler(std::span<const std::byte> bytes, const std::string& name) {
    model_.path = name;
    first_ = read_layout(bytes, name);
    if (is_split(first_)) throw Error{"one file of a split, read alone", name, kSplitRemedy};
    add_file(name, bytes.size(), first_.tensors.size());
  }

  ModelSource finish() {
    size_t tensor = 0;
    for (size_t f = 0; f < counts_.size(); ++f)
      for (size_t i = 0; i < counts_[f]; ++i) first_.tensors[tensor++].file = model_.files[f].native();
    model_.container = str("GGUF version ", first_.version);
    model_.metadata = Metadata{std::move(first_.keys), model_.path.string()};
    model_.tensors = std::move(first_.tensors);
    return ModelSource{std::move(model_)};
  }

 private:
  void add_file(const std::filesystem::path& path, size_t bytes, size_t tensors) {
    model_.files.push_back(path);
    model_.bytes += static_cast<int64_t>(bytes);
    counts_.push_back(tensors);
  }

  FileContents add(const std::filesystem::path& path) {
    const auto map = std::make_shared<MappedFile>(path);
    FileContents file = read_layout(map->bytes(), path.string());
    add_file(path, map->bytes().size(), file.tensors.size());
    model_.storage.push_back(map);
    return file;
  }

  void add_shards();
  void add_shard(const std::string& shard, int number, int count);

  ModelSource::Contents model_;
  FileContents first_;          // tensors and their index: of all shards
  std::vector<size_t> counts_;  // tensors of each file
};

void Assembler::add_shards() {
  const std::string own = model_.path.string();
  const int64_t count = split_key(first_, own, "split.count");
  const int64_t number = split_key(first_, own, "split.no");
  const auto name = parse_split_name(model_.path);
  if (!name || name->count != count || name->number != number + 1)
    throw Error{
        str("the file is number ", number + 1, " of a split into ", count, ", but its name does not say so"),
        own, str("name it as it was written: <name>-00001-of-0000N.gguf; ", kSplitRemedy)};
  if (number != 0)
    throw Error{str("file ", number + 1, " of a split; the first holds the metadata"), own,
                str("name the first one: ", split_name(name->prefix, 1, name->count).string())};
  const int64_t total = split_key(first_, own, "split.tensors.count");
  for (int shard = 1; shard < name->count; ++shard)
    add_shard(split_name(name->prefix, shard + 1, name->count).string(), shard, name->count);
  if (static_cast<int64_t>(first_.tensors.size()) != total)
    throw Error{str("the split should have ", total, " tensors, its files have ", first_.tensors.size()), own,
                kSplitRemedy};
}

void Assembler::add_shard(const std::string& shard, int number, int count) {
  if (!std::filesystem::exists(shard))
    throw Error{"a file of the split is missing", shard, kSplitRemedy, Fault::io};
  const FileContents file = add(shard);
  if (split_key(file, shard, "split.no") != number || split_key(file, shard, "split.count") != count)
    throw Error{str("the file should be number ", number + 1, " of ", count, ", but says it is another"),
                shard, kSplitRemedy};
  for (const Tensor& tensor : file.tensors) {
    if (!first_.tensor_index.emplace(tensor.name, first_.tensors.size()).second)
      throw Error{str("the tensor '", printable(tensor.name), "' is in two files of the split"), shard,
                  kSplitRemedy};
    first_.tensors.push_back(tensor);
  }
}

}  // namespace

ModelSource read_model(const std::filesystem::path& path) {
  return Assembler{path}.finish();
}

ModelSource read_model(std::span<const std::byte> bytes, const std::string& name) {
  return Assembler{bytes, name}.finish();
}

}  // namespace snug::gguf
