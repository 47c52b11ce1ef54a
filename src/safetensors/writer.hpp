#pragma once

#include <atomic>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/files/atomic_file.hpp"
#include "safetensors/header.hpp"

namespace snug::safetensors {

/// A tensor to be written.
struct Planned {
  std::string name;
  Dtype dtype{};
  std::vector<int64_t> shape;
};

using TextMetadata = std::map<std::string, std::string>;

/// Sorts as the container's own writer does, so that every tensor is aligned: widest elements first, then by name.
void sort_by_alignment(std::vector<Planned>& tensors);

/// A file that appears whole under its name or not at all.
class Writer {
 public:
  /// The tensors lie in the order given. Throws Error where a name is there twice, is no UTF-8 or a size
  /// overflows; of Fault::io where the file cannot be written.
  Writer(const std::filesystem::path& file, std::vector<Planned> tensors, const TextMetadata& metadata,
         Existing existing);

  /// Bytes of a tensor, by its place in the list, from an offset in it on. Threads may share.
  void write(size_t tensor, uint64_t offset, std::span<const std::byte> bytes);
  void sync() { file_.sync(); }
  /// Puts the file in place. Throws Error where not all bytes were written.
  void commit();

 private:
  std::filesystem::path path_;
  std::vector<Entry> entries_;
  std::string header_;
  AtomicFile file_;
  std::atomic<uint64_t> written_ = 0;
};

/// A checkpoint's weights, planned to the byte: model.safetensors, or several files of at most `shard_bytes` of tensors
/// each (a larger tensor has one of its own), and their index. Throws as Writer does.
class FolderPlan {
 public:
  enum class Index { where_sharded, always };

  FolderPlan(std::span<const Planned> tensors, const TextMetadata& metadata, uint64_t shard_bytes, Index index);

  int64_t bytes() const;  // of all files, without the index
  std::span<const int64_t> file_bytes() const { return file_bytes_; }
  std::span<const std::string> names() const { return names_; }  // of the files

 private:
  friend class FolderWriter;
  struct Place {
    size_t shard, tensor;
  };

  TextMetadata metadata_;
  std::vector<std::vector<Planned>> shards_;
  std::vector<std::string> names_;  // of the files
  std::vector<int64_t> file_bytes_;
  std::vector<Place> places_;       // of each tensor
  std::string index_;               // empty where none is written
};

/// Writes a plan. Nothing appears before commit(), and the index last.
class FolderWriter {
 public:
  using Index = FolderPlan::Index;

  FolderWriter(const std::filesystem::path& folder, const FolderPlan& plan, Existing existing);
  FolderWriter(const std::filesystem::path& folder, std::span<const Planned> tensors, const TextMetadata& metadata,
               uint64_t shard_bytes, Index index, Existing existing)
      : FolderWriter(folder, FolderPlan{tensors, metadata, shard_bytes, index}, existing) {}

  void write(size_t tensor, uint64_t offset, std::span<const std::byte> bytes);  // as Writer::write
  void commit();

 private:
  std::filesystem::path folder_;
  std::vector<std::unique_ptr<Writer>> shards_;
  std::vector<FolderPlan::Place> places_;
  std::string index_;
  Existing existing_;
};

}  // namespace snug::safetensors
