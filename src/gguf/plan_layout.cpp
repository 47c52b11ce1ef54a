#include <algorithm>
#include <limits>
#include <unordered_set>
#include <utility>

#include "base/str.hpp"
#include "gguf/encode.hpp"
#include "gguf/layout.hpp"
#include "base/printable.hpp"
#include "gguf/split.hpp"
#include "gguf/writer.hpp"
#include "snug/error.hpp"

namespace snug::gguf {
namespace {

constexpr uint32_t kVersion = 3;
constexpr int64_t kMaxShards = std::numeric_limits<uint16_t>::max();  // split.count is a u16
constexpr int64_t kHead = 4 + 4 + 8 + 8;                               // magic, version and the two counts

int64_t tensor_bytes(const OutputTensor& tensor) {
  return data_bytes(tensor.format, {tensor.shape.data(), static_cast<size_t>(tensor.dims)});
}

int64_t info_bytes(const OutputTensor& tensor) {
  return static_cast<int64_t>(8 + tensor.name.size() + 4 + 8 * static_cast<size_t>(tensor.dims) + 4 + 8);
}

int64_t key_bytes(const std::vector<OutputKey>& keys) {
  Encoder out;
  for (const OutputKey& key : keys) out.key(key);
  return static_cast<int64_t>(out.size());
}

std::vector<OutputKey> split_keys(size_t number, size_t count, size_t tensors) {
  return {{"split.no", MetadataValue{static_cast<uint16_t>(number)}},
          {"split.count", MetadataValue{static_cast<uint16_t>(count)}},
          {"split.tensors.count", MetadataValue{static_cast<int32_t>(tensors)}}};
}

void check_tensor(const OutputTensor& tensor, const std::string& path) {
  const std::string name = str("tensor '", printable(tensor.name), "'");
  if (tensor.name.empty() || tensor.name.size() > kLongestName)
    throw Error{str(name, " has a name of ", tensor.name.size(), " bytes; GGUF allows 1 to ", kLongestName),
                path};
  if (tensor.dims < 1 || tensor.dims > kMaxDims)
    throw Error{str(name, " has ", tensor.dims, " dimensions; GGUF allows 1 to 4"), path};
  if (!is_gguf_type(tensor.format))
    throw Error{str(name, " is to be ", format_name(tensor.format), ", which no GGUF file can hold"), path,
                "choose a format of GGUF, such as q4_K"};
  if (tensor_bytes(tensor) < 0)
    throw Error{str(name, " has rows of ", tensor.shape[0], " weights, which ", format_name(tensor.format),
                    " cannot hold, or its size overflows"),
                path, str("choose a format whose blocks divide ", tensor.shape[0], ", or f16")};
}

void check(const std::vector<OutputKey>& keys, const std::vector<OutputTensor>& tensors,
           const std::string& path) {
  std::unordered_set<std::string_view> seen;
  for (const OutputKey& key : keys)
    if (key.key.empty() || !seen.insert(key.key).second)
      throw Error{str("the key '", printable(key.key), "' is empty or given twice"), path};
  seen.clear();
  for (const OutputTensor& tensor : tensors) {
    check_tensor(tensor, path);
    if (!seen.insert(tensor.name).second)
      throw Error{str("the tensor '", printable(tensor.name), "' is given twice"), path};
  }
}

/// Keys that belong to the file they came from, not to the model.
bool is_of_the_file(const OutputKey& key) {
  return key.key.starts_with("split.") || key.key == "general.alignment";
}

/// How many tensors each file takes, in order: as many as fit, at least one; the first may hold metadata
/// alone.
std::vector<size_t> deal(const std::vector<OutputTensor>& tensors, int64_t first_keys, int64_t other_keys,
                         int64_t limit) {
  std::vector<size_t> counts{0};
  int64_t header = kHead + first_keys, data = 0;
  for (const OutputTensor& tensor : tensors) {
    header += info_bytes(tensor);
    data += padded(tensor_bytes(tensor));
    const bool may_close = counts.back() > 0 || counts.size() == 1;
    if (may_close && padded(header) + data > limit) {
      counts.push_back(0);
      header = kHead + other_keys + info_bytes(tensor);
      data = padded(tensor_bytes(tensor));
    }
    ++counts.back();
  }
  return counts;
}

class Planner {
 public:
  Planner(std::vector<OutputKey> keys, std::vector<OutputTensor> tensors) : keys_(std::move(keys)) {
    layout_.tensors = std::move(tensors);
    layout_.offsets.resize(layout_.tensors.size());
  }

  Layout whole(const std::filesystem::path& path) {
    add_shard(path, keys_, layout_.tensors.size());
    return std::move(layout_);
  }

  Layout split(const std::filesystem::path& path, int64_t limit) {
    const int64_t other_keys = key_bytes(split_keys(0, 0, 0));
    const auto counts = deal(layout_.tensors, key_bytes(keys_) + other_keys, other_keys, limit);
    if (static_cast<int64_t>(counts.size()) > kMaxShards)
      throw Error{str("the output would take ", counts.size(), " files; a split has at most ", kMaxShards),
                  path.string(), "allow larger files", Fault::usage};
    for (size_t i = 0; i < counts.size(); ++i) {
      std::vector<OutputKey> keys = i == 0 ? keys_ : std::vector<OutputKey>{};
      std::ranges::move(split_keys(i, counts.size(), layout_.tensors.size()), std::back_inserter(keys));
      const int number = static_cast<int>(i) + 1;
      add_shard(split_name(split_prefix(path), number, static_cast<int>(counts.size())), keys, counts[i]);
    }
    return std::move(layout_);
  }

 private:
  void add_shard(const std::filesystem::path& path, const std::vector<OutputKey>& keys, size_t count) {
    const size_t first =
        layout_.shards.empty() ? 0 : layout_.shards.back().first + layout_.shards.back().count;
    Encoder out;
    out.raw(std::as_bytes(std::span{"GGUF", 4}));
    out.number(kVersion);
    out.number(uint64_t{count});
    out.number(uint64_t{keys.size()});
    for (const OutputKey& key : keys) out.key(key);
    int64_t data = 0;
    for (size_t t = first; t < first + count; ++t) {
      out.tensor_info(layout_.tensors[t], data);
      layout_.offsets[t] = data;
      data = checked_sum(data, tensor_bytes(layout_.tensors[t]), path);
    }
    out.pad_to(kDefaultAlignment);
    const auto header = static_cast<int64_t>(out.size());
    for (size_t t = first; t < first + count; ++t) layout_.offsets[t] += header;
    layout_.shards.push_back({path, out.take(), first, count, checked_sum(data, header, path)});
    layout_.bytes = checked_sum(layout_.bytes, layout_.shards.back().bytes, path);
  }

  /// Sizes stay far from overflow, so that sums of offsets need no further checks.
  static int64_t checked_sum(int64_t bytes, int64_t more, const std::filesystem::path& path) {
    constexpr int64_t most = std::numeric_limits<int64_t>::max() / 4;
    if (more > most || bytes > most - more) throw Error{"the output would be absurdly large", path.string()};
    return padded(bytes + more);
  }

  std::vector<OutputKey> keys_;
  Layout layout_;
};

}  // namespace

Layout plan_layout(const std::filesystem::path& path, std::vector<OutputKey> keys,
                   std::vector<OutputTensor> tensors, int64_t split_bytes) {
  std::erase_if(keys, is_of_the_file);
  check(keys, tensors, path.string());
  Layout whole = Planner{keys, tensors}.whole(path);
  if (split_bytes <= 0 || whole.bytes <= split_bytes) return whole;
  return Planner{std::move(keys), std::move(tensors)}.split(path, split_bytes);
}

}  // namespace snug::gguf
