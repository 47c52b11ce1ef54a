#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace snug {

/// Bytes in a file without a name, mapped: the kernel writes them out and reads them back as memory is short. Zero at
/// first. In ScratchFile::scratch_folder().
class MappedScratch {
 public:
  /// Throws Error of Fault::io where there is no room.
  explicit MappedScratch(int64_t bytes);
  ~MappedScratch();
  MappedScratch(const MappedScratch&) = delete;
  MappedScratch& operator=(const MappedScratch&) = delete;

  std::span<std::byte> bytes() const { return {data_, size_}; }

 private:
  std::byte* data_ = nullptr;
  size_t size_;
};

}  // namespace snug
