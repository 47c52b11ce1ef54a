#include "safetensors/writer.hpp"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>
#include <utility>

#include "base/json_reader.hpp"
#include "base/str.hpp"
#include "snug/error.hpp"

namespace snug::safetensors {
namespace {

uint64_t size_of(const Planned& tensor) {
  const auto bytes = bytes_of(tensor.dtype, tensor.shape);
  if (!bytes) throw Error{str("the tensor ", quoted(tensor.name), " is too large, or fills no whole bytes")};
  return *bytes;
}

std::vector<Entry> laid_out(std::vector<Planned> tensors, const std::string& where) {
  std::vector<Entry> entries;
  std::set<std::string> names{"__metadata__"};
  uint64_t at = 0;
  for (Planned& tensor : tensors) {
    if (!names.insert(tensor.name).second)
      throw Error{str("two tensors are called ", quoted(tensor.name)), where};
    const uint64_t end = at + size_of(tensor);
    entries.push_back({std::move(tensor.name), tensor.dtype, std::move(tensor.shape), at, end});
    at = end;
  }
  return entries;
}

std::string checked_header(const std::vector<Entry>& entries, const TextMetadata& metadata,
                           const std::string& where) try {
  std::string text = header_text(entries, metadata);
  if (text.size() - sizeof(uint64_t) > kMaxHeaderBytes) throw Error{"too many tensors for one file", where};
  return text;
} catch (const nlohmann::json::exception&) {
  throw Error{"a name is not UTF-8, which the container demands", where};
}

int64_t total_bytes(const std::vector<Entry>& entries, const std::string& header) {
  return static_cast<int64_t>(header.size() + (entries.empty() ? 0 : entries.back().end));
}

/// The number of the file each tensor goes to, in order.
std::vector<size_t> shards_of(std::span<const Planned> tensors, uint64_t shard_bytes) {
  std::vector<size_t> shards;
  uint64_t used = 0;
  size_t shard = 0;
  for (const Planned& tensor : tensors) {
    const uint64_t bytes = size_of(tensor);
    if (used > 0 && bytes > shard_bytes - std::min(used, shard_bytes)) ++shard, used = 0;
    used += bytes;
    shards.push_back(shard);
  }
  return shards;
}

std::string shard_name(size_t shard, size_t count) {
  if (count == 1) return "model.safetensors";
  char name[64];
  std::snprintf(name, sizeof name, "model-%05zu-of-%05zu.safetensors", shard + 1, count);
  return name;
}

}  // namespace

void sort_by_alignment(std::vector<Planned>& tensors) {
  std::ranges::sort(tensors, [](const Planned& a, const Planned& b) {
    return a.dtype != b.dtype ? a.dtype > b.dtype : a.name < b.name;
  });
}

Writer::Writer(const std::filesystem::path& file, std::vector<Planned> tensors, const TextMetadata& metadata,
               Existing existing)
    : path_(file),
      entries_(laid_out(std::move(tensors), file.string())),
      header_(checked_header(entries_, metadata, file.string())),
      file_(file, existing, total_bytes(entries_, header_)) {
  file_.write(header_);
}

void Writer::write(size_t tensor, uint64_t offset, std::span<const std::byte> bytes) {
  const Entry& entry = entries_.at(tensor);
  const uint64_t size = entry.end - entry.begin;
  if (offset > size || bytes.size() > size - offset)
    throw Error{str("more bytes than the tensor ", quoted(entry.name), " has"), path_.string()};
  file_.write_at(static_cast<int64_t>(header_.size() + entry.begin + offset), bytes);
  written_ += bytes.size();
}

void Writer::commit() {
  const uint64_t wanted = entries_.empty() ? 0 : entries_.back().end;
  if (written_ != wanted)
    throw Error{str(written_.load(), " of ", wanted, " bytes of tensors were written"), path_.string()};
  file_.commit();
}

FolderPlan::FolderPlan(std::span<const Planned> tensors, const TextMetadata& metadata, uint64_t shard_bytes, Index index)
    : metadata_(metadata) {
  const std::vector<size_t> shard = shards_of(tensors, shard_bytes);
  const size_t count = shard.empty() ? 1 : shard.back() + 1;
  for (size_t i = 0; i < count; ++i) names_.push_back(shard_name(i, count));
  shards_.resize(count);
  nlohmann::json weight_map = nlohmann::json::object();
  uint64_t total = 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    places_.push_back({shard[i], shards_[shard[i]].size()});
    shards_[shard[i]].push_back(tensors[i]);
    weight_map[tensors[i].name] = names_[shard[i]];
    total += size_of(tensors[i]);
  }
  for (size_t i = 0; i < count; ++i) {
    const std::vector<Entry> entries = laid_out(shards_[i], names_[i]);
    file_bytes_.push_back(total_bytes(entries, checked_header(entries, metadata, names_[i])));
  }
  if (count > 1 || index == Index::always)
    index_ = nlohmann::json{{"metadata", {{"total_size", total}}}, {"weight_map", weight_map}}.dump(2) + "\n";
}

int64_t FolderPlan::bytes() const { return std::accumulate(file_bytes_.begin(), file_bytes_.end(), int64_t{0}); }

FolderWriter::FolderWriter(const std::filesystem::path& folder, const FolderPlan& plan, Existing existing)
    : folder_(folder), places_(plan.places_), index_(plan.index_), existing_(existing) {
  for (size_t i = 0; i < plan.shards_.size(); ++i)
    shards_.push_back(std::make_unique<Writer>(folder / plan.names_[i], plan.shards_[i], plan.metadata_, existing));
}

void FolderWriter::write(size_t tensor, uint64_t offset, std::span<const std::byte> bytes) {
  const FolderPlan::Place place = places_.at(tensor);
  shards_[place.shard]->write(place.tensor, offset, bytes);
}

void FolderWriter::commit() {
  for (const auto& shard : shards_) shard->sync();
  for (const auto& shard : shards_) shard->commit();
  if (!index_.empty()) write_file(folder_ / "model.safetensors.index.json", index_, existing_);
}

}  // namespace snug::safetensors
