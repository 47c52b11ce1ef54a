#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

namespace snug {

/// A file without a name for what does not fit into memory: it is gone with the program, however that ends.
/// Threads may read and write different parts at once. Everything throws Error of Fault::io.
class ScratchFile {
 public:
  explicit ScratchFile(const std::filesystem::path& folder = scratch_folder());
  ~ScratchFile();
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;

  void write(int64_t offset, std::span<const std::byte> bytes);
  void read(int64_t offset, std::span<std::byte> bytes) const;
  int descriptor() const { return fd_; }

  /// $TMPDIR, else /var/tmp, which lies on a disk where /tmp may lie in memory.
  static std::filesystem::path scratch_folder();

 private:
  std::filesystem::path folder_;
  int fd_ = -1;
};

}  // namespace snug
