#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/files/atomic_file.hpp"
#include "model/output_key.hpp"
#include "snug/format.hpp"
#include "snug/model.hpp"

namespace snug::gguf {

struct OutputTensor {
  std::string name;
  FormatId format{};
  int dims = 0;
  std::array<int64_t, 4> shape{1, 1, 1, 1};
};

/// Where everything of a GGUF v3 output will lie, to the byte, before a byte is written. Alignment 32.
struct Layout {
  struct Shard {
    std::filesystem::path path;     // the name itself, or <stem>-00001-of-0000N.gguf
    std::vector<std::byte> header;  // magic to the start of the data section, padding included
    size_t first = 0, count = 0;    // its tensors
    int64_t bytes = 0;              // of the whole file
  };
  std::vector<OutputTensor> tensors;
  std::vector<int64_t> offsets;  // of each tensor from the start of its shard's file
  std::vector<Shard> shards;
  int64_t bytes = 0;  // of all files
};

/// split_bytes > 0 and less than the whole: files of at most that size each (a single larger tensor gets a
/// file of its own), with split.* keys as gguf-split writes them. split.* keys and general.alignment among
/// `keys` are dropped. Throws Error where a name is bad or given twice, or a tensor's row length does not fit
/// its format.
Layout plan_layout(const std::filesystem::path& path, std::vector<OutputKey> keys,
                   std::vector<OutputTensor> tensors, int64_t split_bytes = 0);

/// Writes files of a Layout, their space reserved at once; commit() puts all files in place.
class Writer {
 public:
  Writer(Layout layout, Existing existing);
  ~Writer();
  const Layout& layout() const { return layout_; }

  /// Bytes of tensor `index` from `offset` within its data; threads may share. Throws Error if a byte is
  /// written twice.
  void write(size_t index, int64_t offset, std::span<const std::byte> bytes);

  /// Syncs and renames every file, the first of a split last; throws Error (and leaves no file) if tensor
  /// bytes are missing or a name was taken meanwhile.
  void commit();

 private:
  struct File;
  void write_padding(size_t index);
  void check_whole() const;

  Layout layout_;
  Existing existing_;
  std::vector<size_t> shard_of_;  // of each tensor
  std::vector<std::unique_ptr<File>> files_;
};

}  // namespace snug::gguf
